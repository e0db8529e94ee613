"""The command as a user runs it: another process, its exit code, its terminal and its folder."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import jsonschema
import pytest

from phantoms import SeriesSpec, build_datasets, save_series

ROOT = Path(__file__).parents[2]
CHEST_CT = ROOT / "tests" / "data" / "ct_chest_lidc0314"
SMALL = SeriesSpec(shape=(4, 12, 12))


def run_app(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def result_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def schema() -> dict:
    return json.loads(run_app("--print-schema").stdout)


def empty(folder: Path) -> None:
    folder.mkdir()


def not_dicom(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("no images here")


def only_a_report(folder: Path) -> None:
    (dataset,) = build_datasets(SeriesSpec(shape=(1, 8, 8), modality="SR"))[:1]
    del dataset.PixelData
    save_series([dataset], folder)


def cut_in_half(folder: Path) -> None:
    path = sorted(save_series(build_datasets(SMALL), folder))[1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_in_its_pixels(folder: Path) -> None:
    path = sorted(save_series(build_datasets(SMALL), folder))[1]
    path.write_bytes(path.read_bytes()[:-100])


def two_patients(folder: Path) -> None:
    save_series(build_datasets(SMALL), folder)
    save_series(build_datasets(SeriesSpec(shape=(4, 12, 12), patient_id="PHANTOM-2", series="other")), folder)


BAD_INPUT = {
    empty: (4, "failed", "unreadable-input"),
    not_dicom: (4, "failed", "unreadable-input"),
    only_a_report: (3, "not-applicable", "no-suitable-series"),
    cut_in_half: (4, "failed", "unreadable-input"),
    cut_in_its_pixels: (4, "failed", "unsupported-pixel-data"),
    two_patients: (4, "failed", "patient-mismatch"),
}


@pytest.mark.parametrize(("make", "expected"), BAD_INPUT.items(), ids=[make.__name__ for make in BAD_INPUT])
def test_bad_input_is_one_line_an_exit_code_and_a_manifest(tmp_path: Path, schema: dict, make, expected):
    exit_code, status, reason = expected
    make(tmp_path / "in")
    process = run_app("-i", tmp_path / "in", "-o", tmp_path / "out")
    assert process.returncode == exit_code, process.stderr
    assert process.stdout == ""
    (line,) = process.stderr.strip().splitlines()
    assert line.startswith(f"{reason}: ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]
    result = result_of(tmp_path / "out")
    jsonschema.validate(result, schema)
    assert (result["status"], result["reason"]["code"]) == (status, reason)
    assert "PHANTOM" not in json.dumps(result)


def test_odd_header_values_are_not_quoted_on_the_terminal(tmp_path: Path):
    datasets = build_datasets(SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dataset in datasets:
            dataset.AccessionNumber = "CANARY-LONGER-THAN-SIXTEEN"
            dataset.PatientBirthDate = "CANARY"
        save_series(datasets, tmp_path / "in")
    process = run_app("-i", tmp_path / "in", "-o", tmp_path / "out")
    assert process.returncode == 0, process.stderr
    (line,) = process.stderr.strip().splitlines()
    assert line.startswith("completed: ")
    assert "CANARY" not in process.stderr + (tmp_path / "out" / "result.json").read_text()


def test_a_wrong_model_is_exit_code_5(tmp_path: Path):
    process = run_app("-i", CHEST_CT, "-o", tmp_path, "-m", tmp_path / "nowhere")
    assert process.returncode == 5
    assert result_of(tmp_path)["reason"]["code"] == "checkpoint-invalid"


def test_wrong_usage_is_exit_code_2(tmp_path: Path):
    assert run_app("-i", CHEST_CT).returncode == 2
    assert run_app("-i", tmp_path / "nowhere", "-o", tmp_path).returncode == 2
    assert run_app("--nonsense").returncode == 2


def test_a_wrong_setting_is_named(tmp_path: Path):
    (tmp_path / "settings.toml").write_text('zscore_scope = "patient"\n')
    process = run_app("-i", CHEST_CT, "-o", tmp_path / "out", "--config", tmp_path / "settings.toml")
    assert process.returncode == 5
    assert "settings: zscore_scope: Input should be 'slice' or 'volume', got 'patient'" in process.stderr


CHOOSE_MR = """
[[selection.roles]]
name = "any MR"
modality = "MR"
"""


def test_a_wrong_rule_is_named_with_its_key(tmp_path: Path):
    (tmp_path / "site.toml").write_text(
        '[[selection.prefers]]\nname = "our kernel"\npoints = 2\n'
        'when = { all = [ { not = { keyword = "ConvolutionKernal", is = "B30f" } } ] }\n'
    )
    process = run_app("--explain", "-i", CHEST_CT, "--config", tmp_path / "site.toml")
    assert process.returncode == 5
    assert process.stderr.strip() == (
        "model-invalid: settings: selection.prefers 'our kernel'.when.all number 1.not.keyword: ConvolutionKernal is "
        "no DICOM keyword, did you mean ConvolutionKernel?, got 'ConvolutionKernal'"
    )


def test_explain_follows_the_sites_rules(tmp_path: Path):
    (tmp_path / "site.toml").write_text(CHOOSE_MR)
    process = run_app("--explain", "-i", CHEST_CT, "--config", tmp_path / "site.toml")
    assert process.returncode == 0, process.stderr
    assert "modality CT is not MR" in process.stdout
    assert "Nothing suitable: a run would end as not-applicable." in process.stdout


def test_a_run_follows_the_sites_rules(tmp_path: Path, schema: dict):
    (tmp_path / "site.toml").write_text(CHOOSE_MR)
    process = run_app("-i", CHEST_CT, "-o", tmp_path / "out", "--config", tmp_path / "site.toml")
    assert process.returncode == 3, process.stderr
    result = result_of(tmp_path / "out")
    jsonschema.validate(result, schema)
    assert [series["reasons"] for series in result["series"]] == [["modality CT is not MR"]]


@pytest.mark.parametrize("width", [80, 160])
def test_explain_fits_the_terminal(tmp_path: Path, width: int):
    save_series(build_datasets(SeriesSpec(shape=(6, 16, 16))), tmp_path)
    save_series(build_datasets(SeriesSpec(shape=(5, 16, 16), series="worse")), tmp_path)
    command = [sys.executable, "-m", "app", "--explain", "-i", str(tmp_path)]
    environment = os.environ | {"COLUMNS": str(width)}
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=True)
    assert max(map(len, process.stdout.splitlines())) <= width
    assert "CT volume: series 3 …" in process.stdout
    assert "PHANTOM" not in process.stdout + process.stderr


def test_explain_shows_the_series_of_a_study_that_is_refused(tmp_path: Path):
    two_patients(tmp_path / "in")
    process = run_app("--explain", "-i", tmp_path / "in")
    assert process.returncode == 4
    assert "CT" in process.stdout
    assert process.stderr.strip() == "patient-mismatch: input: expected one patient, found 2; nothing was computed"


def test_a_zip_file_is_read_and_nothing_unpacked_stays(tmp_path: Path):
    save_series(build_datasets(SeriesSpec(shape=(2, 16, 16))), tmp_path / "in")
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "in")
    process = run_app("-i", archive, "-o", tmp_path / "out")
    assert process.returncode == 3, process.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]
    (series,) = result_of(tmp_path / "out")["series"]
    assert (series["num_instances"], series["reasons"]) == (2, ["2 slices, at least 3 are needed"])


def test_explain_tells_and_writes_nothing(tmp_path: Path):
    save_series(build_datasets(SeriesSpec(shape=(6, 16, 16))), tmp_path)
    save_series(build_datasets(SeriesSpec(shape=(2, 16, 16), series="scout")), tmp_path)
    before = sorted(tmp_path.iterdir())
    process = run_app("--explain", "-i", tmp_path)
    assert process.returncode == 0, process.stderr
    assert "CT volume" in process.stdout
    assert "at least 3 are needed" in " ".join(process.stdout.split())
    assert sorted(tmp_path.iterdir()) == before
