"""The bundled chest CT through the whole graph, its results read by other people's programs."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import highdicom
import jsonschema
import numpy as np
import pydicom
import pytest
import SimpleITK

from app.application import StudyRequest
from app.pipeline import Pipeline
from app.run import run_study
from app.settings import DEMO_MODEL, Settings
from operators.dicom.results.result_settings import ResultSettings
from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.volume_reader import read_series
from operators.study_run.journal import RunJournal
from operators.study_run.manifest import ResultManifest
from result_cases import dciodvfy, dsrdump

ROOT = Path(__file__).parents[2]
CHEST_CT = ROOT / "tests" / "data" / "ct_chest_lidc0314"
COLLECTION_IDENTIFIER = "LIDC-IDRI-0314"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    command = [sys.executable, "-m", "app", "-i", str(CHEST_CT), "-o", str(folder)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    assert process.stdout == ""
    return folder


@pytest.fixture(scope="module")
def result(output: Path) -> dict:
    return json.loads((output / "result.json").read_text())


@pytest.fixture(scope="module")
def objects(output: Path, result: dict) -> dict[str, Path]:
    return {entry["kind"]: output / entry["path"] for entry in result["outputs"]}


def lps_mm(image: SimpleITK.Image) -> np.ndarray:
    """(D, H, W, 3) LPS mm of the voxels of an ITK image."""
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    indices = np.stack(np.indices(image.GetSize()[::-1]), axis=-1)[..., ::-1]
    return indices @ direction.T + np.array(image.GetOrigin())


def test_the_manifest_is_what_its_schema_promises(result: dict):
    jsonschema.validate(result, ResultManifest.model_json_schema(by_alias=True))
    assert result["status"] == "completed"
    assert result["model"]["demonstration"] is True
    assert [series["decision"] for series in result["series"]] == ["selected"]
    assert [entry["kind"] for entry in result["outputs"]] == ["SR", "SEG"]
    assert {finding["name"] for finding in result["findings"]} >= {"body region", "soft-tissue mass"}
    assert COLLECTION_IDENTIFIER not in json.dumps(result)


def test_stages_come_in_order_and_add_up(result: dict):
    names = [stage["name"] for stage in result["stages"]]
    order = [
        "study index",
        "series selection",
        "volume",
        "resampling",
        "encoder",
        "findings",
        "segmentation",
        "SEG",
        "SR",
    ]
    assert [name for name in names if name in order] == order
    assert names[-1] == "framework"


def test_only_listed_files_are_there_and_as_listed(output: Path, result: dict):
    listed = {entry["path"]: (entry["sha256"], entry["bytes"]) for entry in result["outputs"]}
    there = {path.name: path.read_bytes() for path in output.iterdir() if path.name != "result.json"}
    assert {name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in there.items()} == listed


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_dciodvfy_finds_no_error(objects: dict[str, Path], kind: str):
    errors, _ = dciodvfy(objects[kind])
    assert errors == []


def test_lungs_are_air_and_bones_are_dense(objects: dict[str, Path]):
    """Hounsfield values know nothing of our code: they tell whether the masks lie on the right voxels."""
    (series,) = index_study(CHEST_CT).series
    volume = read_series(series, role="test").volume
    segmentation = highdicom.seg.segread(objects["SEG"])
    instances = {str(header.SOPInstanceUID): index for index, header in enumerate(read_series(series, role="").headers)}
    medians = {}
    for number in segmentation.segment_numbers:
        label = segmentation.get_segment_description(number).segment_label
        masks = segmentation.get_pixels_by_source_instance(list(instances), segment_numbers=[number])[..., 0]
        medians[label] = float(np.median(volume.array[masks.astype(bool)]))
    assert medians["lung"] < -600
    assert medians["bone"] > 100


def test_dcmqi_sees_the_masks_on_the_source_slices(objects: dict[str, Path], tmp_path: Path, result: dict):
    reader = Path(sys.executable).with_name("segimage2itkimage")
    subprocess.run(
        [reader, "--inputDICOM", objects["SEG"], "--outputDirectory", tmp_path, "-t", "nrrd", "-p", "seg"],
        check=True,
        capture_output=True,
    )
    sources = [pydicom.dcmread(path, stop_before_pixels=True) for path in CHEST_CT.iterdir()]
    slices_mm = np.array(sorted(float(source.ImagePositionPatient[2]) for source in sources))
    volumes = {entry["segment_number"]: entry["value"] for entry in result["measurements"]}
    for number, expected_ml in volumes.items():
        image = SimpleITK.ReadImage(str(tmp_path / f"seg-{number}.nrrd"))
        mask = SimpleITK.GetArrayFromImage(image) > 0
        positions = lps_mm(image)[mask]
        assert np.abs(positions[:, 2, None] - slices_mm).min(axis=1).max() < 1e-3
        columns = (positions[:, 0] - float(sources[0].ImagePositionPatient[0])) / 0.78125
        np.testing.assert_allclose(columns, np.rint(columns), atol=1e-3)
        assert mask.sum() * np.prod(image.GetSpacing()) / 1000 == pytest.approx(expected_ml, rel=1e-4)


def test_the_report_names_every_finding(objects: dict[str, Path], result: dict):
    text = dsrdump(objects["SR"])
    for finding in result["findings"]:
        assert finding["code"]["meaning"] in text
    for measurement in result["measurements"]:
        assert measurement["tracking_uid"] in text
    report = highdicom.sr.srread(objects["SR"])
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert report.VerificationFlag == "UNVERIFIED"
    assert "research use only" in report.SeriesDescription


def test_an_equal_run_writes_equal_objects(output: Path, result: dict, tmp_path: Path):
    run_study(Pipeline.load(DEMO_MODEL, Settings(device="cpu")), StudyRequest(CHEST_CT, tmp_path), RunJournal())
    again = json.loads((tmp_path / "result.json").read_text())
    uids = [[entry["sop_instance_uid"] for entry in run["outputs"]] for run in (result, again)]
    assert uids[0] == uids[1]
    assert again["findings"] == result["findings"]


def test_a_report_under_other_settings_names_the_earlier_one(objects: dict[str, Path], tmp_path: Path):
    study, out = tmp_path / "study", tmp_path / "out"
    study.mkdir()
    for path in (*CHEST_CT.glob("*.dcm"), objects["SR"]):
        (study / path.name).symlink_to(path)
    settings = Settings(device="cpu", results=ResultSettings(objects=["SR"]))
    run_study(Pipeline.load(DEMO_MODEL, settings), StudyRequest(study, out), RunJournal())
    (report,) = (pydicom.dcmread(path) for path in out.glob("SR_*"))
    (predecessor,) = report.PredecessorDocumentsSequence
    reference = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == pydicom.dcmread(objects["SR"]).SOPInstanceUID
