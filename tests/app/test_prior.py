"""A study with earlier ones beside it, through the whole graph."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from app.application import StudyRequest
from app.pipeline import Pipeline
from app.run import run_study
from app.settings import DEMO_MODEL, Settings
from operators.study_run.journal import RunJournal
from phantoms import SeriesSpec, build_datasets, phantom_value, save_series

SPEC = SeriesSpec(shape=(26, 56, 60), slice_spacing=3.0, pixel_spacing=(1.5, 1.5))
PRIOR = replace(SPEC, study="prior", series="prior")
SHIFT_MM = np.array([6.0, -4.5, 3.0])
"""From a place of today to the same tissue's place on the prior."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``now``, ``then`` a year before, and ``other`` of somebody else."""
    folder = tmp_path_factory.mktemp("studies")
    then = build_datasets(PRIOR, lambda positions: phantom_value(positions - SHIFT_MM))
    other = build_datasets(replace(PRIOR, study="other"))
    for dataset in then:
        dataset.StudyDate = f"{int(dataset.StudyDate[:4]) - 1}{dataset.StudyDate[4:]}"
    for dataset in other:
        dataset.PatientID = "somebody else"
    for name, datasets in (("now", build_datasets(SPEC)), ("then", then), ("other", other)):
        save_series(datasets, folder / name)
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
    (transform,) = [output for output in result["outputs"] if output["kind"] == "REG"]
    assert registration["outputs"] == [transform["sop_instance_uid"]]
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
    assert told == ["patient-mismatch: prior: PatientID is not the current study's; it was left out"]
    names = [stage["name"] for stage in result["stages"]]
    assert names.index("prior") < names.index("findings") < names.index("registration") < names.index("SR")
