import json

from operators.study_run.manifest import FILE_NAME
from operators.study_run.output_folder import clear_previous


def test_nothing_outside_the_folder_is_cleared_with_an_earlier_run(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    listed = [tmp_path / "outside.dcm", folder / "SEG_1.dcm"]
    for path in (*listed, folder / "other.dcm", folder / "preview.html"):
        path.touch()
    names = ["../outside.dcm", str(listed[0]), "SEG_1.dcm", "absent.dcm"]
    (folder / FILE_NAME).write_text(json.dumps({"outputs": [{"path": name} for name in names]}))
    clear_previous(folder)
    assert [path.name for path in folder.iterdir()] == ["other.dcm"]
    assert listed[0].exists()
