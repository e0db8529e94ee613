"""Findings and segmentations in, structured reports out."""

from typing import Any

from operators.dicom.study.study_index import StudyIndex
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.result_writer import ResultWriter, WrittenObject


class ReportWriterOperator(Step):
    """Write the study's TID 1500 reports; earlier ones may be among the study's own files."""

    INPUTS = ("study", "reading", "segmentations")
    OUTPUT = "reports"
    STAGE = "SR"

    def __init__(self, fragment: Any, *, writer: ResultWriter, journal: RunJournal) -> None:
        self._writer = writer
        super().__init__(fragment, journal=journal)

    def work(
        self, study: StudyIndex, reading: StudyReading[SourceSeries], segmentations: tuple[WrittenObject, ...]
    ) -> tuple[WrittenObject, ...]:
        return self._writer.write_reports(reading, segmentations, study.headers)
