"""Folder in, headers out."""

from pathlib import Path
from typing import Any

from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.study.study_index import index_study
from operators.framework import Operator, OperatorSpec
from operators.study_run.journal import Journal


class StudyIndexOperator(Operator):
    """Read the headers of every DICOM file of a folder or a zip file.

    scratch : empty folder for what is unpacked, there until the run ends

    Output ``study``: StudyIndex.
    """

    STUDY = "study"

    def __init__(
        self,
        fragment: Any,
        *args: Any,
        folder: Path,
        scratch: Path,
        limits: ReadLimits,
        journal: Journal,
        **kwargs: Any,
    ) -> None:
        self._folder = folder
        self._scratch = scratch
        self._limits = limits
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.output(self.STUDY)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        with self._journal.stage("study index"):
            study = index_study(self._folder, scratch=self._scratch, limits=self._limits, progress=self._announce)
        for remark in study.remarks:
            self._journal.warn("input-remark", remark)
        op_output.emit(study, self.STUDY)

    def _announce(self, done: int, total: int) -> None:
        self._journal.announce(f"study index: {done} of {total} files")
