"""What could be done of a study with a bad series is delivered, and what could not be is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.application import StudyRequest
from app.pipeline import Pipeline
from app.run import run_study
from app.settings import Settings
from encoder_cases import TINY, write_random_snapshot
from operators.errors import UnsupportedPixelDataError
from operators.study_run.journal import RunJournal
from phantoms import SeriesSpec, build_datasets, save_series

CT = SeriesSpec(shape=(6, 40, 40), series="ct")
MR = SeriesSpec(shape=(6, 40, 40), series="mr", modality="MR")
BETTER_CT = replace(CT, shape=(12, 40, 40), series="better ct")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    snapshot = write_random_snapshot(TINY, tmp_path_factory.mktemp("models") / "curia-2")
    return Pipeline.load(snapshot, Settings(device="cpu"))


def save(spec: SeriesSpec, folder: Path, *, cut: bool = False) -> None:
    path = save_series(build_datasets(spec), folder / spec.series)[2]
    if cut:
        path.write_bytes(path.read_bytes()[:-40])


def run(pipeline: Pipeline, study: Path, output: Path) -> dict:
    run_study(pipeline, StudyRequest(study, output), RunJournal())
    return json.loads((output / "result.json").read_text())


def test_a_good_ct_beside_a_bad_mr_is_partial(pipeline: Pipeline, tmp_path: Path):
    save(CT, tmp_path / "study")
    save(MR, tmp_path / "study", cut=True)
    result = run(pipeline, tmp_path / "study", tmp_path / "out")
    assert result["status"] == "partial"
    assert result["reason"]["code"] == "unsupported-pixel-data"
    assert MR.series_instance_uid in result["reason"]["message"]
    (warning,) = [one["message"] for one in result["warnings"] if one["code"] == "series-unreadable"]
    assert "(the best MR volume; no other series fits)" in warning
    assert {one["modality"]: one["decision"] for one in result["series"]} == {"CT": "selected", "MR": "rejected"}


def test_the_next_best_makes_the_study_whole(pipeline: Pipeline, tmp_path: Path):
    save(CT, tmp_path / "study")
    save(BETTER_CT, tmp_path / "study", cut=True)
    result = run(pipeline, tmp_path / "study", tmp_path / "out")
    assert (result["status"], result["reason"]) == ("completed", None)
    selected, rejected = result["series"]
    assert selected["series_instance_uid"] == CT.series_instance_uid
    assert "in place of a better CT volume" in selected["reasons"][0]
    assert "cannot be read: " in rejected["reasons"][0]
    assert [one["code"] for one in result["warnings"]].count("series-unreadable") == 1


def test_a_study_of_bad_series_alone_fails(pipeline: Pipeline, tmp_path: Path):
    save(CT, tmp_path / "study", cut=True)
    save(MR, tmp_path / "study", cut=True)
    with pytest.raises(UnsupportedPixelDataError, match="cut short"):
        run(pipeline, tmp_path / "study", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["status"] == "failed"


def test_mr_of_values_under_one_is_read_with_a_remark(pipeline: Pipeline, tmp_path: Path):
    """As Philips writes them: the published cast to int16 would leave nothing."""
    datasets = build_datasets(MR)
    for dataset in datasets:
        dataset.RescaleSlope, dataset.RescaleIntercept = "2.44e-4", "0"
    save_series(datasets, tmp_path / "study")
    result = run(pipeline, tmp_path / "study", tmp_path / "out")
    assert result["status"] == "completed"
    (remark,) = [one["message"] for one in result["warnings"] if "cast to int16" in one["message"]]
    assert remark.startswith(f"series {MR.series_instance_uid}: ")
