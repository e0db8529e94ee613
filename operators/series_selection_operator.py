"""Headers in, the series worth encoding out."""

from typing import Any

from operators.dicom.selection.series_selection import SeriesDecision, check_selected, select_series
from operators.dicom.study.study_index import StudyIndex, check_one_study
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.reading_chain import ReadingChain


class SeriesSelectionOperator(Step):
    """Judge every series and keep the best of each role; refuse more than one patient or study."""

    INPUTS = ("study",)
    OUTPUT = "decisions"
    STAGE = "series selection"

    def __init__(self, fragment: Any, *, chain: ReadingChain, journal: RunJournal) -> None:
        self._chain = chain
        super().__init__(fragment, journal=journal)

    def work(self, study: StudyIndex) -> tuple[SeriesDecision, ...]:
        # Decisions first, so that a study that is refused tells what it held.
        self.journal.decisions = select_series(study, self._chain.rules, limits=self._chain.limits)
        self.journal.study_instance_uid = check_one_study(study)
        self.journal.decisions = self._chain.look_again(self.journal.decisions)
        check_selected(self.journal.decisions)
        return self.journal.decisions
