"""Findings and segmentations in, the structured report out."""

from typing import Any

from operators.domain.journal import Journal
from operators.framework import Operator, OperatorSpec
from operators.result_objects import ResultWriter


class ReportWriterOperator(Operator):
    """Write the study's TID 1500 report.

    Inputs ``sources``: tuple of SourceSeries; ``study_readout``: StudyReadout; ``segmentations``: tuple of
    WrittenObject. Output ``outputs``: tuple of OutputFile, report first.
    """

    SOURCES = "sources"
    STUDY_READOUT = "study_readout"
    SEGMENTATIONS = "segmentations"
    OUTPUTS = "outputs"

    def __init__(self, fragment: Any, *args: Any, writer: ResultWriter, journal: Journal, **kwargs: Any) -> None:
        self._writer = writer
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.input(self.STUDY_READOUT)
        spec.input(self.SEGMENTATIONS)
        spec.output(self.OUTPUTS)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, study_readout = op_input.receive(self.SOURCES), op_input.receive(self.STUDY_READOUT)
        segmentations = op_input.receive(self.SEGMENTATIONS)
        with self._journal.stage("SR"):
            outputs = self._writer.write_report(sources, study_readout, segmentations)
        op_output.emit(outputs, self.OUTPUTS)
