"""Findings and segmentations in, structured reports out."""

from typing import Any

from operators.framework import Operator, OperatorSpec
from operators.study_run.journal import Journal
from operators.study_run.result_writer import ResultWriter


class ReportWriterOperator(Operator):
    """Write the study's TID 1500 reports.

    Inputs ``study``: StudyIndex, among whose files earlier reports may be; ``sources``: tuple of SourceSeries;
    ``study_readout``: StudyReadout; ``segmentations``: tuple of WrittenObject. Output ``reports``: tuple of
    WrittenObject.
    """

    STUDY = "study"
    SOURCES = "sources"
    STUDY_READOUT = "study_readout"
    SEGMENTATIONS = "segmentations"
    REPORTS = "reports"

    def __init__(self, fragment: Any, *args: Any, writer: ResultWriter, journal: Journal, **kwargs: Any) -> None:
        self._writer = writer
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.STUDY)
        spec.input(self.SOURCES)
        spec.input(self.STUDY_READOUT)
        spec.input(self.SEGMENTATIONS)
        spec.output(self.REPORTS)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, study_readout = op_input.receive(self.SOURCES), op_input.receive(self.STUDY_READOUT)
        segmentations, study = op_input.receive(self.SEGMENTATIONS), op_input.receive(self.STUDY)
        with self._journal.stage("SR"):
            reports = self._writer.write_reports(sources, study_readout, segmentations, study.headers)
        op_output.emit(reports, self.REPORTS)
