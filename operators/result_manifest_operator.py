"""Everything in, ``result.json`` out, last."""

from pathlib import Path
from typing import Any

from operators.dicom.results.output_file import OutputFile
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.manifest_entries import completed_manifest
from operators.study_run.output_folder import publish, write_result_manifest
from operators.study_run.result_writer import WrittenRegistration


class ResultManifestOperator(Step):
    """Move the finished files into the output folder and write the manifest after them.

    It has no stage: the manifest holds the stages' seconds when it is written.
    """

    INPUTS = ("reading", "registrations", "outputs")

    def __init__(
        self, fragment: Any, *, drafts: Path, output: Path, deployment: Deployment, journal: RunJournal
    ) -> None:
        self._drafts = drafts
        self._output = output
        self._deployment = deployment
        super().__init__(fragment, journal=journal)

    def work(
        self,
        reading: StudyReading[SourceSeries],
        registrations: tuple[WrittenRegistration, ...],
        outputs: tuple[OutputFile, ...],
    ) -> None:
        publish(self._drafts, self._output)
        manifest = completed_manifest(
            self.journal, self._deployment, reading=reading, registrations=registrations, outputs=outputs
        )
        write_result_manifest(manifest, self._output)
