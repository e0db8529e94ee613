"""Folder in, headers out."""

from pathlib import Path
from typing import Any

from operators.dicom.study.study_index import StudyIndex, index_study
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.reading_chain import ReadingChain


class StudyIndexOperator(Step):
    """Read the headers of every DICOM file of a folder or a zip file.

    scratch : empty folder for what is unpacked, there until the run ends
    """

    OUTPUT = "study"
    STAGE = "study index"

    def __init__(self, fragment: Any, folder: Path, *, chain: ReadingChain, scratch: Path, journal: RunJournal) -> None:
        self._folder = folder
        self._scratch = scratch
        self._limits = chain.limits
        super().__init__(fragment, journal=journal)

    def work(self) -> StudyIndex:
        study = index_study(self._folder, scratch=self._scratch, limits=self._limits, progress=self._announce)
        for remark in study.remarks:
            self.journal.warn("input-remark", remark)
        return study

    def _announce(self, done: int, total: int) -> None:
        self.journal.announce(f"study index: {done} of {total} files")
