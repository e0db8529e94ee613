"""Features in, the same kept for who points at a place on the study's page."""

from pathlib import Path
from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.encoder.kept_features import keep_features
from operators.framework import Step
from operators.study_run.journal import RunJournal


class FeaturesKeeperOperator(Step):
    """Keep the tokens of the study's series, and of those of priors that they are compared with."""

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
        keep_features(
            [(uid, one.encoded, one.source.volume.geometry) for uid, one in (compared | current).items()],
            self._folder,
            priors=frozenset(compared.keys() - current.keys()),
        )
        return reading
