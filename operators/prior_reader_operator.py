"""Folders of earlier studies in, what they show beside the current one out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.prior_reader import PriorReader


class PriorReaderOperator(Step):
    """Select, read and encode the series of each prior that show what the current ones show."""

    INPUTS = ("reading",)
    OUTPUT = "reading"
    STAGE = "prior"

    def __init__(self, fragment: Any, folders: Iterable[Path], *, reader: PriorReader, journal: RunJournal) -> None:
        self._folders = tuple(folders)
        self._reader = reader
        self.device = ",".join(reader.chain.encoder.devices)
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        return self._reader.read(self._folders, reading)
