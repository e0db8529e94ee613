"""Selected series in, volumes out."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from operators.dicom.results.source_headers import padded_headers
from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.volumes.source_series import SourceSeries
from operators.dicom.volumes.volume_reader import read_volume
from operators.domain.reading import SeriesReading, StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal


class VolumeReaderOperator(Step):
    """Decode the pixels of the selected series onto their regular grids."""

    INPUTS = ("selection",)
    OUTPUT = "reading"
    STAGE = "volume"

    def __init__(self, fragment: Any, *, limits: ReadLimits, journal: RunJournal) -> None:
        self._limits = limits
        super().__init__(fragment, journal=journal)

    def work(self, selection: Iterable[SeriesDecision]) -> StudyReading[SourceSeries]:
        sources = [self._read(decision) for decision in selection]
        for source in sources:
            for remark in source.remarks:
                self.journal.warn("source-remark", remark)
            for change in padded_headers(source.headers)[1]:
                self.journal.warn("source-value", f"series {source.series_instance_uid}: {change}")
        return StudyReading(tuple(SeriesReading(source) for source in sources))

    def _read(self, decision: SeriesDecision) -> SourceSeries:
        assert decision.role is not None, "only selected series come here"
        return replace(read_volume(decision.volume, role=decision.role, limits=self._limits), reasons=decision.reasons)
