"""Registrations in, DICOM spatial registrations out."""

from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.result_writer import ResultWriter, WrittenRegistration


class RegistrationWriterOperator(Step):
    """Write the transforms between the current study and its priors; without a prior there are none, and no stage."""

    INPUTS = ("reading",)
    OUTPUT = "registrations"

    def __init__(self, fragment: Any, *, writer: ResultWriter, journal: RunJournal) -> None:
        self._writer = writer
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> tuple[WrittenRegistration, ...]:
        if not reading.registrations:
            return ()
        with self.journal.stage("REG"):
            return self._writer.write_registrations(reading)
