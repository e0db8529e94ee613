"""Priors laid on the current study; what cannot be aligned is told and left out."""

from dataclasses import replace

import numpy as np

from operators.domain.features import FeatureVolume
from operators.domain.reading import PriorReading, SeriesReading, StudyReading
from operators.domain.volume import Volume
from operators.registration.alignment import AlignmentSettings
from operators.study_run.journal import RunJournal
from operators.study_run.prior_registration import register_priors
from phantoms import SeriesSpec, build_source_series
from registration_cases import blob_volume

SETTINGS = AlignmentSettings(kind="rigid", points=24**3)


def series(volume: Volume, name: str) -> SeriesReading:
    """With features that say nothing."""
    source = replace(build_source_series(SeriesSpec(series=name)), volume=volume)
    grid = volume.geometry.rescaled((volume.geometry.shape[0], 2, 2))
    features = FeatureVolume(np.ones((grid.shape[0], 4)), np.ones((grid.shape[0], 4, 4)), grid)
    return SeriesReading(source, features=features)


def registered(
    now: SeriesReading, then: SeriesReading, settings: AlignmentSettings = SETTINGS
) -> tuple[StudyReading, RunJournal]:
    journal, prior = RunJournal(), PriorReading("1.2", 10, {now.source.series_instance_uid: then})
    reading = StudyReading((now,), (prior,))
    found = register_priors(reading, settings, demonstration=True, device="cpu", journal=journal)
    return found, journal


def test_a_slice_and_a_volume_are_not_aligned():
    slice_alone = blob_volume(shape=(1, 44, 44))
    reading, journal = registered(series(blob_volume(), "now"), series(slice_alone, "then"))
    assert reading.registrations == ()
    (warning,) = journal.warnings
    assert warning.code == "prior-not-used"
    assert "expected two volumes or two single slices" in warning.message


def test_one_that_takes_too_long_is_left_out_with_the_reason():
    hurried = replace(SETTINGS, seconds=1e-6)
    reading, journal = registered(series(blob_volume(), "now"), series(blob_volume(), "then"), hurried)
    assert reading.registrations == ()
    (warning,) = journal.warnings
    assert warning.code == "prior-not-used"
    assert "took longer than registration_seconds allows" in warning.message
