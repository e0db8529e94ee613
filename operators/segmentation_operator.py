"""Features and findings in, masks on the source's own grid out."""

from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.readout import read_segments


class SegmentationOperator(Step):
    """Segment organs and present findings, place the findings, and measure the segments."""

    INPUTS = ("reading",)
    OUTPUT = "reading"
    STAGE = "segmentation"

    def __init__(self, fragment: Any, *, deployment: Deployment, journal: RunJournal) -> None:
        self._deployment = deployment
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        return read_segments(reading, self._deployment)
