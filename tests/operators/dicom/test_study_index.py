from pathlib import Path

import pytest

from operators.dicom.study_index import check_one_study, index_study
from operators.errors import InputError, PatientMismatchError
from phantoms import SeriesSpec, build_datasets, save_series

SMALL = SeriesSpec(shape=(4, 8, 8))


def test_files_are_found_by_content_at_any_depth(tmp_path: Path):
    save_series(build_datasets(SMALL), tmp_path / "a" / "b")
    for number, path in enumerate(sorted((tmp_path / "a" / "b").iterdir())):
        path.rename(path.with_name(f"no name {number}"))
    save_series(build_datasets(SeriesSpec(shape=(3, 8, 8), series="other", modality="MR")), tmp_path)
    (tmp_path / "notes.txt").write_text("not DICOM")
    (tmp_path / "empty.dcm").touch()
    study = index_study(tmp_path)
    assert sorted((series.modality, len(series.instances)) for series in study.series) == [("CT", 4), ("MR", 3)]
    assert study.num_other_files == 2
    assert check_one_study(study) == SMALL.uid("study")
    assert not any("PixelData" in header for header in study.headers)


def test_an_empty_folder_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="no DICOM file found, 0 other files were ignored"):
        index_study(tmp_path)


def test_a_folder_without_dicom_is_an_error(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(InputError, match="no DICOM file found, 1 other files were ignored"):
        index_study(tmp_path)


@pytest.mark.parametrize("share", [0.15, 0.4, 0.7])
def test_a_file_that_ends_in_its_header_is_an_error(tmp_path: Path, share: float):
    paths = save_series(build_datasets(SMALL), tmp_path)
    content = paths[0].read_bytes()
    header_length = len(content) - 8 * 8 * 2
    paths[0].write_bytes(content[: int(header_length * share)])
    with pytest.raises(InputError, match="1 of 4 files start as DICOM but end inside their header"):
        index_study(tmp_path)


def test_two_patients_are_refused(tmp_path: Path):
    save_series(build_datasets(SMALL), tmp_path)
    save_series(build_datasets(SeriesSpec(shape=(3, 8, 8), series="other", patient_id="PHANTOM-2")), tmp_path)
    with pytest.raises(PatientMismatchError, match="expected one patient, found 2") as caught:
        check_one_study(index_study(tmp_path))
    assert "PHANTOM" not in str(caught.value)


def test_two_studies_are_refused(tmp_path: Path):
    save_series(build_datasets(SMALL), tmp_path)
    save_series(build_datasets(SeriesSpec(shape=(3, 8, 8), study="another")), tmp_path)
    with pytest.raises(InputError, match="expected one StudyInstanceUID in all instances, found 2"):
        check_one_study(index_study(tmp_path))
