"""Masks in, DICOM segmentations out."""

from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.result_writer import ResultWriter, WrittenObject


class SegmentationWriterOperator(Step):
    """Write one SEG for each series that has a segment."""

    INPUTS = ("reading",)
    OUTPUT = "segmentations"
    STAGE = "SEG"

    def __init__(self, fragment: Any, *, writer: ResultWriter, journal: RunJournal) -> None:
        self._writer = writer
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> tuple[WrittenObject, ...]:
        return self._writer.write_segmentations(reading)
