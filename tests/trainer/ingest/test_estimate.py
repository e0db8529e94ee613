from dataclasses import replace
from pathlib import Path

import pytest

from phantoms import SeriesSpec, build_datasets, save_series
from trainer.ingest.batch import IngestSettings
from trainer.ingest.estimate import (
    FILE_BYTES,
    NUM_SAMPLES,
    Estimate,
    estimate,
    estimate_apart,
    survey_folders,
)
from trainer.ingest.pseudonyms import Pseudonyms
from trainer.ingest.sources import Folder, walk

SPEC = SeriesSpec(shape=(4, 12, 16), slice_spacing=9.0)


def _folders(num: int, num_bytes: int = 10) -> list[Folder]:
    return [Folder(Path(str(number)), (("x", num_bytes),)) for number in range(num)]


def test_the_survey_counts_all_and_remembers_few() -> None:
    survey = survey_folders(_folders(1000))
    assert (survey.num_folders, survey.num_files, survey.num_bytes, survey.is_whole) == (1000, 1000, 10_000, True)
    assert len(set(survey.samples)) == NUM_SAMPLES


def test_the_survey_ends_in_time_and_says_so() -> None:
    survey = survey_folders(_folders(1000), seconds=-1.0)
    assert not survey.is_whole
    assert survey.num_folders == 0


def test_equal_folders_are_told_exactly(tmp_path: Path) -> None:
    for number in range(80):
        save_series(build_datasets(replace(SPEC, study=str(number % 3))), tmp_path / f"{number:02d}")
    survey = survey_folders(walk([tmp_path]))

    expected = estimate(survey, IngestSettings(tmp_path, 0.1, (), 2**20), Pseudonyms(b"k" * 32))

    assert expected is not None
    assert expected.num_slices == pytest.approx(80 * 4, rel=0.01)
    assert 0 < expected.num_bytes < survey.num_bytes
    assert expected.seconds > 0


def test_nothing_to_try_gives_no_estimate(tmp_path: Path) -> None:
    assert estimate(survey_folders([]), IngestSettings(tmp_path, 0.1, (), 2**20), Pseudonyms(b"k" * 32)) is None


def test_a_decoder_that_crashes_leaves_the_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_series(build_datasets(SPEC), tmp_path / "in")
    settings, pseudonyms = IngestSettings(tmp_path, 0.1, (), 2**20), Pseudonyms(b"k" * 32)
    survey = survey_folders(walk([tmp_path / "in"]))
    assert estimate_apart(survey, settings, pseudonyms).is_tried
    # A new interpreter imports this at its start; what it does there stands for a crash.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "sys.addaudithook(lambda event, args: event == 'open' and str(args[0]).endswith('.dcm') and os._exit(9))\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")
    expected = estimate_apart(survey, settings, pseudonyms)
    assert expected == Estimate(4, 4 * FILE_BYTES, expected.seconds, is_tried=False)


def test_folders_too_large_to_try_are_told_by_their_files() -> None:
    survey = survey_folders(_folders(3, num_bytes=2**30))
    assert survey.samples == ()
    expected = estimate_apart(survey, IngestSettings(Path(), 0.1, (), 2**20), Pseudonyms(b"k" * 32))
    assert (expected.num_slices, expected.is_tried) == (3, False)
