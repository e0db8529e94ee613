"""A reading in, the same with a region that somebody marked out."""

from pathlib import Path
from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.prompt import MarkedRegion
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.marked_region import mark_region


class RegionMarkerOperator(Step):
    """Draw the region on its series' slices and measure it.

    features : folder of those that the points were asked of
    """

    INPUTS = ("reading",)
    OUTPUT = "reading"
    STAGE = "marked region"

    def __init__(
        self, fragment: Any, marked: MarkedRegion, *, features: Path, deployment: Deployment, journal: RunJournal
    ) -> None:
        self._marked = marked
        self._features = features
        self._deployment = deployment
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        return mark_region(reading, self._marked, self._features, self._deployment)
