"""Decisions about series in, volumes out."""

from typing import Any

from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import SeriesReading, StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.reading_chain import ReadingChain, source_warnings


class VolumeReaderOperator(Step):
    """Decode the pixels of the selected series onto their regular grids; of the next best, where one cannot be read."""

    INPUTS = ("decisions",)
    OUTPUT = "reading"
    STAGE = "volume"

    def __init__(self, fragment: Any, *, chain: ReadingChain, journal: RunJournal) -> None:
        self._chain = chain
        super().__init__(fragment, journal=journal)

    def work(self, decisions: tuple[SeriesDecision, ...]) -> StudyReading[SourceSeries]:
        best = self._chain.read_best(decisions)
        self.journal.decisions = best.decisions
        for unreadable in best.unreadable:
            self.journal.warn("series-unreadable", unreadable.message)
        self.journal.shortfall = next((one.error for one in best.unfilled), None)
        sources = [source for _, source in best.read]
        for source in sources:
            self.journal.warnings += source_warnings(source)
        return StudyReading(tuple(SeriesReading(source) for source in sources))
