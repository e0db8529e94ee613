"""Masks in, DICOM segmentations out."""

from typing import Any

from operators.framework import Operator, OperatorSpec
from operators.study_run.journal import Journal
from operators.study_run.result_writer import ResultWriter


class SegmentationWriterOperator(Operator):
    """Write one SEG for each series that has a segment.

    Inputs ``sources``: tuple of SourceSeries; ``study_readout``: StudyReadout. Output ``segmentations``: tuple of
    WrittenObject.
    """

    SOURCES = "sources"
    STUDY_READOUT = "study_readout"
    SEGMENTATIONS = "segmentations"

    def __init__(self, fragment: Any, *args: Any, writer: ResultWriter, journal: Journal, **kwargs: Any) -> None:
        self._writer = writer
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.input(self.STUDY_READOUT)
        spec.output(self.SEGMENTATIONS)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, study_readout = op_input.receive(self.SOURCES), op_input.receive(self.STUDY_READOUT)
        with self._journal.stage("SEG"):
            written = self._writer.write_segmentations(sources, study_readout)
        op_output.emit(written, self.SEGMENTATIONS)
