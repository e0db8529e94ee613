"""A later version of a report, with what people said of its findings."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from app.run import failure_recorded
from operators.dicom.results.output_file import write_dataset
from operators.dicom.results.report.judged_report import judged_report
from operators.domain.judgement import Judgement
from operators.errors import InputError
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.manifest_entries import revised_manifest
from operators.study_run.output_folder import write_result_manifest


def write_revision(report: Path, judgements: Sequence[Judgement], output: Path, deployment: Deployment) -> None:
    """Write the SR and ``result.json`` to the folder *output*; if it fails, the latter alone.

    report : file of the report that it is a later version of

    Raises
    ------
    CuriaError
        After the manifest of the failure was written.
    """
    journal = RunJournal()
    with failure_recorded(output, journal, deployment):
        try:
            previous = dcmread(report)
        except (OSError, InvalidDicomError) as error:
            raise InputError("report: expected a DICOM file, it cannot be read") from error
        journal.study_instance_uid = str(previous.StudyInstanceUID)
        with journal.stage("SR"):
            revised = judged_report(previous, judgements, now=datetime.now())
            written = write_dataset(revised, output, source=previous)
        write_result_manifest(revised_manifest(journal, deployment, written), output)
