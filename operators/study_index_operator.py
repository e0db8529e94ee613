"""Folder in, headers out."""

from pathlib import Path
from typing import Any

from operators.dicom.study_index import check_one_study, index_study
from operators.domain.journal import Journal
from operators.framework import Operator, OperatorSpec


class StudyIndexOperator(Operator):
    """Read the headers of every DICOM file below a folder; refuse more than one patient or study.

    Output ``study``: StudyIndex.
    """

    STUDY = "study"

    def __init__(self, fragment: Any, *args: Any, folder: Path, journal: Journal, **kwargs: Any) -> None:
        self._folder = folder
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.output(self.STUDY)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        with self._journal.stage("study index"):
            study = index_study(self._folder)
            self._journal.study_instance_uid = check_one_study(study)
        op_output.emit(study, self.STUDY)
