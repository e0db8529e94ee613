"""Selected series in, volumes out."""

from dataclasses import replace
from typing import Any

from operators.dicom.results.source_headers import padded_headers
from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.volumes.volume_reader import read_volume
from operators.framework import Operator, OperatorSpec
from operators.study_run.journal import Journal


class VolumeReaderOperator(Operator):
    """Decode the pixels of the selected series onto their regular grids.

    Input ``selection``: tuple of SeriesDecision. Output ``sources``: tuple of SourceSeries.
    """

    SELECTION = "selection"
    SOURCES = "sources"

    def __init__(self, fragment: Any, *args: Any, limits: ReadLimits, journal: Journal, **kwargs: Any) -> None:
        self._limits = limits
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SELECTION)
        spec.output(self.SOURCES)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        selection = op_input.receive(self.SELECTION)
        with self._journal.stage("volume"):
            sources = tuple(
                replace(read_volume(decision.volume, role=decision.role, limits=self._limits), reasons=decision.reasons)
                for decision in selection
            )
        for source in sources:
            for remark in (*source.remarks, *padded_headers(source.headers)[1]):
                self._journal.warn("source-remark", remark)
        op_output.emit(sources, self.SOURCES)
