from dataclasses import replace
from pathlib import Path

import pytest

from phantoms import SeriesSpec, build_datasets, save_series
from trainer.pretraining.ingest.batch import IngestSettings
from trainer.pretraining.ingest.estimate import NUM_SAMPLES, estimate, survey_folders
from trainer.pretraining.ingest.pseudonyms import Pseudonyms
from trainer.pretraining.ingest.sources import Folder, walk

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
