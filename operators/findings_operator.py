"""Features in, findings out."""

from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.readout import read_findings


class FindingsOperator(Step):
    """Ask every finding head about every series."""

    INPUTS = ("reading",)
    OUTPUT = "reading"
    STAGE = "findings"

    def __init__(self, fragment: Any, *, deployment: Deployment, device: str, journal: RunJournal) -> None:
        self._heads = deployment.model.heads
        self.device = device
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        return read_findings(reading, self._heads, device=self.device)
