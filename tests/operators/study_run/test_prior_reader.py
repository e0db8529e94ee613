"""Earlier studies beside the current one, read with the embedded model."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.pipeline import Pipeline
from app.settings import DEMO_MODEL, Settings
from operators.domain.reading import StudyReading
from operators.study_run.journal import RunJournal
from operators.study_run.prior_reader import PriorReader
from phantoms import SeriesSpec, build_datasets, build_source_series, save_series
from result_cases import build_case, reading_of

SPEC = SeriesSpec(shape=(12, 60, 60), slice_spacing=5.0)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.load(DEMO_MODEL, Settings(device="cpu"))


def current() -> StudyReading:
    case = build_case(build_source_series(SPEC))
    case.source.headers[0].StudyDate = "20240310"
    return reading_of([case])


def earlier_study(folder: Path, name: str, **values: str) -> Path:
    spec = replace(SPEC, series=name)
    datasets = build_datasets(spec)
    for dataset in datasets:
        dataset.StudyInstanceUID = spec.uid(f"study {name}")
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    save_series(datasets, folder / name)
    return folder / name


def test_priors_are_read_the_latest_first_and_those_that_cannot_be_are_told(pipeline: Pipeline, tmp_path: Path):
    journal = RunJournal()
    reader = PriorReader(pipeline.chain, pipeline.deployment, tmp_path, journal)
    (tmp_path / "empty").mkdir()
    folders = [
        earlier_study(tmp_path, "old", StudyDate="20230310"),
        tmp_path / "empty",
        earlier_study(tmp_path, "somebody else", StudyDate="20240101", PatientID="2"),
        earlier_study(tmp_path, "recent", StudyDate="20240301"),
        earlier_study(tmp_path, "report", Modality="PT"),
    ]
    reading = current()
    read = reader.read(folders, reading)
    assert read.current is reading.current
    assert [prior.days_before for prior in read.prior] == [9, 366]
    for prior, name in zip(read.prior, ("recent", "old"), strict=True):
        (series,) = prior.compared.values()
        assert list(prior.compared) == [SPEC.series_instance_uid]
        assert prior.study_instance_uid == SPEC.uid(f"study {name}")
        assert series.source.series_instance_uid == replace(SPEC, series=name).series_instance_uid
        assert len(series.encoded.cls) == 12
        assert series.findings
    told = [warning.message for warning in journal.warnings if warning.code == "prior-not-read"]
    assert [message.split(":")[0] for message in told] == ["unreadable-input", "patient-mismatch", "unreadable-input"]
    assert "none of its 1 series is a CT volume" in told[2]
    compared = [warning.message for warning in journal.warnings if warning.code == "prior-remark"]
    assert len(compared) == 2
    assert f"series {replace(SPEC, series='old').series_instance_uid} of the prior" in compared[0]
