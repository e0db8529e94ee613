"""Headers in, the series worth encoding out."""

from typing import Any

from operators.dicom.series_selection import select_series, selected_series
from operators.domain.journal import Journal
from operators.framework import Operator, OperatorSpec


class SeriesSelectionOperator(Operator):
    """Judge every series and keep the best of each role.

    Input ``study``: StudyIndex. Output ``selection``: tuple of SeriesDecision.
    """

    STUDY = "study"
    SELECTION = "selection"

    def __init__(self, fragment: Any, *args: Any, journal: Journal, **kwargs: Any) -> None:
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.STUDY)
        spec.output(self.SELECTION)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        study = op_input.receive(self.STUDY)
        with self._journal.stage("series selection"):
            self._journal.decisions = select_series(study)
            selection = selected_series(self._journal.decisions)
        op_output.emit(selection, self.SELECTION)
