"""Features and findings in, masks on the source's own grid out."""

from typing import Any

from operators.framework import Operator, OperatorSpec
from operators.study_run.deployment import Deployment
from operators.study_run.journal import Journal
from operators.study_run.readout import read_out_study


class SegmentationOperator(Operator):
    """Segment organs and present findings, place the findings, and measure the segments.

    Inputs ``sources``, ``readouts``: tuples in the same order. Output ``study_readout``: StudyReadout.
    """

    SOURCES = "sources"
    READOUTS = "readouts"
    STUDY_READOUT = "study_readout"

    def __init__(self, fragment: Any, *args: Any, deployment: Deployment, journal: Journal, **kwargs: Any) -> None:
        self._deployment = deployment
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.input(self.READOUTS)
        spec.output(self.STUDY_READOUT)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, readouts = op_input.receive(self.SOURCES), op_input.receive(self.READOUTS)
        with self._journal.stage("segmentation"):
            study_readout = read_out_study(sources, readouts, deployment=self._deployment)
        op_output.emit(study_readout, self.STUDY_READOUT)
