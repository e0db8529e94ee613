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
from pydicom.uid import DeflatedExplicitVRLittleEndian

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


def test_a_model_that_the_sites_key_did_not_sign_is_exit_code_5(tmp_path: Path):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", tmp_path / "key.pub"], check=True)
    (tmp_path / "site.toml").write_text(f'model_public_key = "{tmp_path}/key.pub"\n')
    ended = run_app("-i", CHEST_CT, "-o", tmp_path / "out", "--config", tmp_path / "site.toml")
    assert ended.returncode == 5
    assert result_of(tmp_path / "out")["reason"]["code"] == "model-signature"
    assert "SHA256SUMS.sig not found" in ended.stderr


def test_wrong_usage_is_exit_code_2(tmp_path: Path):
    assert run_app("-i", CHEST_CT).returncode == 2
    assert run_app("-i", tmp_path / "nowhere", "-o", tmp_path).returncode == 2
    assert run_app("--nonsense").returncode == 2


def test_a_wrong_setting_is_named(tmp_path: Path):
    (tmp_path / "settings.toml").write_text('zscore_scope = "patient"\n')
    process = run_app("-i", CHEST_CT, "-o", tmp_path / "out", "--config", tmp_path / "settings.toml")
    assert process.returncode == 5
    assert "settings: zscore_scope: Input should be 'slice' or 'volume', got 'patient'" in process.stderr


BEYOND_LIMITS = {
    "max_slices": ("max_slices = 3", 0, "4 slices, the limit is 3 (max_slices)"),
    "max_volume_bytes": ("max_volume_bytes = 2303", 0, "takes 2304 bytes, the limit is 2303 (max_volume_bytes)"),
    "max_slice_pixels": ("max_slice_pixels = 143", 0, "12 x 12 pixels exceeds the limit of 143 pixels"),
    "max_archive_members": ("max_archive_members = 3", 4, "more than 3 members are not unpacked"),
    "max_unpacked_bytes": ("max_unpacked_bytes = 2000", 4, "unpack to more than 2000 bytes (max_unpacked_bytes)"),
    "max_inflated_bytes": ("max_inflated_bytes = 100", 4, "unpacks to more than 100 bytes (max_inflated_bytes)"),
}


@pytest.mark.parametrize(("setting", "exit_code", "message"), BEYOND_LIMITS.values(), ids=BEYOND_LIMITS)
def test_limits_are_settings(tmp_path: Path, setting: str, exit_code: int, message: str):
    (tmp_path / "settings.toml").write_text(f"[limits]\n{setting}\n")
    datasets = build_datasets(SMALL)
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save_series(datasets, tmp_path / "in")
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "in")
    process = run_app("--explain", "-i", archive, "--config", tmp_path / "settings.toml")
    said = " ".join((process.stdout + process.stderr).split())
    assert message in said, said
    assert process.returncode == exit_code


def test_a_run_keeps_to_the_limits(tmp_path: Path):
    (tmp_path / "settings.toml").write_text("[limits]\nmax_slices = 3\n")
    save_series(build_datasets(SMALL), tmp_path / "in")
    process = run_app("-i", tmp_path / "in", "-o", tmp_path / "out", "--config", tmp_path / "settings.toml")
    assert process.returncode == 3, process.stderr
    (series,) = result_of(tmp_path / "out")["series"]
    assert series["reasons"] == ["4 slices, the limit is 3 (max_slices)"]


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
    expected = "patient-mismatch: input: expected one patient, found 2; nothing was computed, give one study at a time"
    assert process.stderr.strip() == expected


def test_explain_judges_each_of_several_studies_alone(tmp_path: Path):
    for name in ("one", "two"):
        datasets = build_datasets(SeriesSpec(shape=(4, 12, 12), series=name))
        for dataset in datasets:
            dataset.StudyInstanceUID = f"1.2.3.4.{1 + (name == 'one')}000001"
        save_series(datasets, tmp_path / name)
    process = run_app("--explain", "-i", tmp_path)
    assert process.returncode == 4
    rows = [line for line in process.stdout.splitlines() if "CT volume" in line]
    assert ["…" + end in row for end, row in zip(("1000001", "2000001"), rows, strict=True)] == [True, True]
    assert "expected one StudyInstanceUID in all instances, found 2; give one study at a time" in process.stderr


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
