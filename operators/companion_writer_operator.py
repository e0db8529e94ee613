"""Reports and segmentations in, what goes with them out."""

from typing import Any

from operators.framework import Operator, OperatorSpec
from operators.study_run.journal import Journal
from operators.study_run.result_writer import ResultWriter


class CompanionWriterOperator(Operator):
    """Write the objects and the preview that the settings ask for beside SR and SEG.

    Inputs ``sources``: tuple of SourceSeries; ``study_readout``: StudyReadout; ``segmentations``, ``reports``: tuples
    of WrittenObject. Output ``outputs``: tuple of OutputFile, all of the study in order of importance.
    """

    SOURCES = "sources"
    STUDY_READOUT = "study_readout"
    SEGMENTATIONS = "segmentations"
    REPORTS = "reports"
    OUTPUTS = "outputs"

    def __init__(self, fragment: Any, *args: Any, writer: ResultWriter, journal: Journal, **kwargs: Any) -> None:
        self._writer = writer
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.input(self.STUDY_READOUT)
        spec.input(self.SEGMENTATIONS)
        spec.input(self.REPORTS)
        spec.output(self.OUTPUTS)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, study_readout = op_input.receive(self.SOURCES), op_input.receive(self.STUDY_READOUT)
        results = (*op_input.receive(self.REPORTS), *op_input.receive(self.SEGMENTATIONS))
        with self._journal.stage("companions"):
            companions = self._writer.write_companions(sources, study_readout, results)
        op_output.emit(tuple(written.file for written in (*results, *companions)), self.OUTPUTS)
