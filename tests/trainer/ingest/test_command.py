import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phantoms import SeriesSpec, build_datasets, save_series
from trainer.__main__ import app
from trainer.ingest.command import parse_file_rule
from trainer.ingest.found_volumes import FileRule


def test_a_tree_becomes_shards_and_the_command_tells_what_it_takes_and_what_came(tmp_path: Path) -> None:
    spec = SeriesSpec(shape=(4, 12, 16), slice_spacing=9.0, patient_name="CANARY^NAME", patient_id="CANARY")
    save_series(build_datasets(spec), tmp_path / "in")
    arguments = ["ingest", "--input", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--workers", "1"]

    first = CliRunner().invoke(app, arguments)
    again = CliRunner().invoke(app, arguments)

    assert first.exit_code == again.exit_code == 0
    assert "To read: 4 files in 1 folders" in first.output
    assert re.search(r"Expected: about 4 slices, .* of shards \(.* free\), .* with 1", first.output)
    assert re.search(r"slices\W+(train|validation)\W+4\b", first.output)
    assert "To read: 0 files in 0 folders" in again.output
    assert "CANARY" not in first.output + again.output
    assert len(list((tmp_path / "out").glob("*/*.tar"))) == 1


@pytest.mark.parametrize(
    ("share", "files", "words"),
    [
        (1.0, True, "all patients fell into the validation part; begin another --out with --validation-share 0"),
        (0.0, False, "no slice was taken, for the reasons above"),
    ],
)
def test_shards_that_nothing_can_be_trained_on_are_told(tmp_path: Path, share: float, files: bool, words: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/notes.txt").write_text("no image")
    if files:
        save_series(build_datasets(SeriesSpec(shape=(4, 12, 16), slice_spacing=9.0)), tmp_path / "in")
    folders = ["--input", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["ingest", *folders, "--workers", "1", "--validation-share", str(share)])
    assert result.exit_code == 0
    assert f"There is nothing to train on: {words}" in result.output.replace("\n", " ")


def test_a_missing_tree_ends_with_its_name(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["ingest", "--input", str(tmp_path / "missing"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "missing is none" in result.output


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("CT=*_ct.nii.gz", FileRule("NIfTI", "CT", "*_ct.nii.gz")),
        ("MR=sub-*_T1w.nii", FileRule("NIfTI", "MR", "sub-*_T1w.nii")),
    ],
)
def test_a_nifti_rule_names_a_modality_and_a_pattern(words: str, rule: FileRule) -> None:
    assert parse_file_rule(words, kind="NIfTI") == rule


@pytest.mark.parametrize("words", ["PT=*", "*.nii", "CT=", "=x"])
def test_anything_else_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="expected CT=PATTERN or MR=PATTERN"):
        parse_file_rule(words, kind="picture")
