"""Reports and segmentations in, what goes with them out."""

from typing import Any

from operators.dicom.results.output_file import OutputFile
from operators.dicom.results.result_settings import OBJECT_KINDS
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.result_writer import ResultWriter, WrittenObject, WrittenRegistration


class CompanionWriterOperator(Step):
    """Write the objects and the preview that the settings ask for beside SR and SEG.

    It emits all files of the study in order of importance.
    """

    INPUTS = ("reading", "reports", "segmentations", "registrations")
    OUTPUT = "outputs"
    STAGE = "companions"

    def __init__(self, fragment: Any, *, writer: ResultWriter, journal: RunJournal) -> None:
        self._writer = writer
        super().__init__(fragment, journal=journal)

    def work(
        self,
        reading: StudyReading[SourceSeries],
        reports: tuple[WrittenObject, ...],
        segmentations: tuple[WrittenObject, ...],
        registrations: tuple[WrittenRegistration, ...],
    ) -> tuple[OutputFile, ...]:
        of_registrations = (written for one in registrations for written in one.objects)
        written = (*reports, *segmentations, *of_registrations)
        results = tuple(sorted(written, key=lambda one: OBJECT_KINDS.index(one.file.kind)))
        companions = self._writer.write_companions(reading, results)
        return tuple(one.file for one in (*results, *companions))
