"""Findings in, the same with what the study's page asks of them kept: evidence, and the features."""

from pathlib import Path
from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.encoder.kept_features import keep_features
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.kept_evidence import keep_evidence


class FeaturesKeeperOperator(Step):
    """Keep where findings come from, and the tokens of the study's series and of those of priors beside them."""

    INPUTS = ("reading",)
    OUTPUT = "reading"
    STAGE = "kept features"

    def __init__(self, fragment: Any, *, folder: Path, journal: RunJournal) -> None:
        self._folder = folder
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        compared = {
            series.source.series_instance_uid: series for prior in reading.prior for series in prior.compared.values()
        }
        current = {series.source.series_instance_uid: series for series in reading.current}
        keep_evidence(reading, self._folder)
        # Last, since a folder counts from then on.
        keep_features(
            [(uid, one.encoded, one.source.volume.geometry) for uid, one in (compared | current).items()],
            self._folder,
            priors=frozenset(compared.keys() - current.keys()),
        )
        return reading
