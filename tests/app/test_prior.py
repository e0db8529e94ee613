"""A study with earlier ones beside it, through the whole graph."""

import json
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from app.application import StudyRequest
from app.pipeline import Pipeline
from app.run import run_study
from app.settings import DEMO_MODEL, Settings
from operators.study_run.journal import RunJournal
from phantoms import (
    SeriesSpec,
    build_datasets,
    build_source_series,
    grid_positions,
    phantom_mask,
    phantom_value,
    save_series,
)
from registration_cases import blob_value
from result_cases import LABELS, build_case, dciodvfy

SPEC = SeriesSpec(shape=(26, 56, 60), slice_spacing=3.0, pixel_spacing=(1.5, 1.5))
PRIOR = replace(SPEC, study="prior", series="prior")
SHIFT_MM = np.array([6.0, -4.5, 3.0])
"""From a place of today to the same tissue's place on the prior."""


def outlines() -> Dataset:
    """A SEG of the phantom's bodies where they lie on the prior."""
    case = build_case(build_source_series(PRIOR))
    positions = grid_positions(PRIOR.geometry) - SHIFT_MM
    segments = tuple(
        replace(segment, mask=phantom_mask(positions, LABELS[segment.label])) for segment in case.segments.segments
    )
    return replace(case, segments=replace(case.segments, segments=segments)).segmentation()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``now``, ``then`` a year before with outlines of somebody's, and ``other`` of somebody else."""
    folder = tmp_path_factory.mktemp("studies")
    then = build_datasets(PRIOR, lambda positions: phantom_value(positions - SHIFT_MM))
    other = build_datasets(replace(PRIOR, study="other"))
    for dataset in then:
        dataset.StudyDate = f"{int(dataset.StudyDate[:4]) - 1}{dataset.StudyDate[4:]}"
    for dataset in other:
        dataset.PatientID = "somebody else"
    for name, datasets in (("now", build_datasets(SPEC)), ("then", then), ("other", other)):
        save_series(datasets, folder / name)
    outlines().save_as(folder / "then" / "outlines.dcm", enforce_file_format=True)
    return folder


@pytest.fixture(scope="module")
def result(folder: Path) -> dict:
    pipeline = Pipeline.load(DEMO_MODEL, Settings(device="cpu", registration="rigid", registration_points=32**3))
    request = StudyRequest(folder / "now", folder / "out", (folder / "other", folder / "then"))
    run_study(pipeline, request, RunJournal())
    return json.loads((folder / "out" / "result.json").read_text())


def test_the_prior_is_registered_and_the_manifest_says_how(result: dict):
    (registration,) = result["registration"]
    assert registration["fixed_series_instance_uid"] == SPEC.series_instance_uid
    assert registration["moving_series_instance_uid"] == PRIOR.series_instance_uid
    assert registration["transform"] == "rigid"
    assert registration["verdict"] != "failed"
    assert all(isinstance(figure, float) for figure in registration["quality"].values())
    of_kind = {output["kind"]: output["sop_instance_uid"] for output in result["outputs"]}
    assert registration["outputs"] == [of_kind["SEG"], of_kind["REG"]]
    assert [output["kind"] for output in result["outputs"]] == sorted(
        (output["kind"] for output in result["outputs"]), key=["SR", "SEG", "REG"].index
    )


def test_the_transform_on_the_disk_is_the_known_move(result: dict, folder: Path):
    (path,) = [folder / "out" / output["path"] for output in result["outputs"] if output["kind"] == "REG"]
    dataset = pydicom.dcmread(path)
    matrices = [
        np.reshape(
            item.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix, (4, 4)
        ).astype(float)
        for item in dataset.RegistrationSequence
    ]
    (moved,) = [matrix for matrix in matrices if not np.array_equal(matrix, np.eye(4))]
    places = np.array([[0.0, 0, 0], [14, -4, -8], [-11, -5, 6], [3, 13, -4]])
    on_today = (places + SHIFT_MM) @ moved[:3, :3].T + moved[:3, 3]
    # Under a voxel: a diagonal of 1.5 x 1.5 x 3 mm is 3.7 mm.
    assert np.linalg.norm(on_today - places, axis=1).max() < 2.0


def test_a_prior_of_somebody_else_is_left_out_with_the_reason(result: dict):
    assert result["status"] == "completed"
    told = [warning["message"] for warning in result["warnings"] if warning["code"] == "prior-not-read"]
    assert told == ["patient-mismatch: prior: PatientID is not the current study's; this prior is left out"]
    names = [stage["name"] for stage in result["stages"]]
    assert names.index("prior") < names.index("findings") < names.index("registration") < names.index("SR")


def test_what_somebody_outlined_on_the_prior_lies_on_todays_bodies(result: dict, folder: Path):
    """The bodies are formulas, so that the truth is one."""
    (path,) = [folder / "out" / output["path"] for output in result["outputs"] if output["kind"] == "SEG"]
    written = pydicom.dcmread(path)
    before = outlines()
    assert dciodvfy(path)[0] == []
    assert [item.TrackingUID for item in written.SegmentSequence] == [
        item.TrackingUID for item in before.SegmentSequence
    ]
    assert [source.ReferencedSOPInstanceUID for source in written.SourceInstanceSequence] == [before.SOPInstanceUID]
    assert all("no new finding" in item.SegmentDescription for item in written.SegmentSequence)
    assert not any(finding["localisation"] for finding in result["findings"] if not finding["present"])
    segmentation = hd.seg.Segmentation.from_dataset(written)
    positions = grid_positions(SPEC.geometry)
    for item in written.SegmentSequence:
        volume = segmentation.get_volume(segment_numbers=[item.SegmentNumber], combine_segments=False)
        voxels = np.argwhere(np.squeeze(np.asarray(volume.array), axis=3))
        body = LABELS[item.SegmentLabel]
        on_body = phantom_mask(voxels @ volume.affine[:3, :3].T + volume.affine[:3, 3], body).sum()
        # A body is 5 voxels thin, and the registration is good to one.
        assert 2 * on_body / (len(voxels) + phantom_mask(positions, body).sum()) > 0.7


def test_the_follow_up_has_both_dates_and_what_only_the_prior_shows(result: dict):
    (follow_up,) = result["follow_up"]
    assert [date["days_before"] for date in follow_up["dates"]] == [365, 0]
    assert [date["verdict"] for date in follow_up["dates"]] == [result["registration"][0]["verdict"], None]
    courses = {course["name"]: course for course in follow_up["courses"]}
    lesion = next(course for name, course in courses.items() if name.startswith("Mass, earlier"))
    radii = np.array([8.0, 6.0, 7.0])
    assert lesion["sizes"][0]["volume_ml"] == pytest.approx(4 / 3 * np.pi * radii.prod() / 1000, rel=0.1)
    assert lesion["sizes"][1] is None
    assert lesion["change_percent"] is None


def run_with(tmp_path: Path, folder: Path, prior: list[Dataset], **settings: object) -> dict:
    for dataset in prior:
        dataset.StudyDate = f"{int(dataset.StudyDate[:4]) - 1}{dataset.StudyDate[4:]}"
    save_series(prior, tmp_path / "prior")
    given = {"registration": "rigid", "registration_points": 24**3} | settings
    pipeline = Pipeline.load(DEMO_MODEL, Settings(device="cpu", **given))
    run_study(pipeline, StudyRequest(folder / "now", tmp_path / "out", (tmp_path / "prior",)), RunJournal())
    return json.loads((tmp_path / "out" / "result.json").read_text())


def warned(result: dict, code: str) -> list[str]:
    return [warning["message"] for warning in result["warnings"] if warning["code"] == code]


def test_a_failed_registration_writes_none_and_says_so(tmp_path: Path, folder: Path):
    noise = np.random.default_rng(0)
    result = run_with(
        tmp_path, folder, build_datasets(PRIOR, lambda places: 400 * noise.normal(size=places.shape[:-1]))
    )
    (registration,) = result["registration"]
    assert (result["status"], registration["verdict"], registration["outputs"]) == ("completed", "failed", [])
    assert not {"REG", "DREG"} & {output["kind"] for output in result["outputs"]}
    assert len(warned(result, "registration-failed")) == 1
    assert result["follow_up"] == []
    (report,) = [tmp_path / "out" / output["path"] for output in result["outputs"] if output["kind"] == "SR"]
    assert "Failed: nothing is compared" in str(pydicom.dcmread(report))


def test_another_body_of_the_same_outline_is_failed(tmp_path: Path, folder: Path):
    other = build_datasets(PRIOR, lambda positions: blob_value(2 * positions, patient=3))
    # On a coarser lattice nothing is left of so small a body without its skin.
    result = run_with(tmp_path, folder, other, registration_points=56**3)
    (registration,) = result["registration"]
    assert (registration["verdict"], registration["outputs"]) == ("failed", [])


def test_a_doubtful_registration_is_written_and_said(tmp_path: Path, folder: Path):
    """The prior shows a fifth of today's body."""
    result = run_with(tmp_path, folder, build_datasets(PRIOR)[:9])
    (registration,) = result["registration"]
    assert registration["verdict"] == "doubtful"
    assert len(registration["outputs"]) >= 1
    assert len(warned(result, "registration-doubtful")) == 1


def test_a_registration_that_takes_too_long_leaves_a_complete_study(tmp_path: Path, folder: Path):
    result = run_with(tmp_path, folder, build_datasets(PRIOR), registration_seconds=1e-6)
    assert (result["status"], result["registration"]) == ("completed", [])
    (why,) = warned(result, "prior-not-used")
    assert "took longer than registration_seconds allows" in why
