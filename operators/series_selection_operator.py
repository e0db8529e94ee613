"""Headers in, the series worth encoding out."""

from typing import Any

from operators.dicom.selection.rules import SelectionRules
from operators.dicom.selection.series_selection import select_series, selected_series
from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.study.study_index import check_one_study
from operators.framework import Operator, OperatorSpec
from operators.study_run.journal import Journal
from operators.study_run.region_probe import RegionProbe, look_again


class SeriesSelectionOperator(Operator):
    """Judge every series and keep the best of each role; refuse more than one patient or study.

    Input ``study``: StudyIndex. Output ``selection``: tuple of SeriesDecision.
    """

    STUDY = "study"
    SELECTION = "selection"

    def __init__(
        self,
        fragment: Any,
        *args: Any,
        rules: SelectionRules,
        region_probe: RegionProbe | None,
        limits: ReadLimits,
        journal: Journal,
        **kwargs: Any,
    ) -> None:
        self._rules = rules
        self._region_probe = region_probe
        self._limits = limits
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.STUDY)
        spec.output(self.SELECTION)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        study = op_input.receive(self.STUDY)
        with self._journal.stage("series selection"):
            # Decisions first, so that a study that is refused tells what it held.
            self._journal.decisions = select_series(study, self._rules, limits=self._limits)
            self._journal.study_instance_uid = check_one_study(study)
            self._journal.decisions = look_again(self._journal.decisions, self._rules, self._region_probe)
            selection = selected_series(self._journal.decisions)
        op_output.emit(selection, self.SELECTION)
