"""Study after study in one process: what a study leaves behind."""

import gc
from pathlib import Path

import pytest

from app.application import CuriaApplication
from app.pipeline import Pipeline
from app.settings import DEMO_MODEL, Settings
from app.worker.protocol import ReadRequest
from app.worker.reading import read_study
from phantoms import SeriesSpec, build_datasets, save_series


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.load(DEMO_MODEL, Settings.read(None, device="cpu"))


def read(pipeline: Pipeline, folder: Path, source: str) -> int:
    return read_study(pipeline, ReadRequest(id="r", input=folder / source, output=folder / "output")).exit_code


def applications_alive() -> int:
    gc.collect()
    return sum(type(one) is CuriaApplication for one in gc.get_objects())


def test_a_study_leaves_nothing_in_memory_whether_it_was_read_or_not(pipeline: Pipeline, tmp_path: Path) -> None:
    datasets = build_datasets(SeriesSpec(shape=(3, 32, 32)))
    save_series(datasets, tmp_path / "sound")
    datasets[1].PixelData = datasets[1].PixelData[:100]
    save_series(datasets, tmp_path / "cut")
    (tmp_path / "empty").mkdir()
    of_other_tests = applications_alive()
    assert [read(pipeline, tmp_path, name) for name in ("sound", "cut", "empty")] == [0, 4, 4]
    assert applications_alive() == of_other_tests
