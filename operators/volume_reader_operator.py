"""Selected series in, volumes out."""

from collections.abc import Iterable
from typing import Any

from operators.dicom.results.source_headers import padded_headers
from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import SeriesReading, StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.reading_chain import ReadingChain


class VolumeReaderOperator(Step):
    """Decode the pixels of the selected series onto their regular grids."""

    INPUTS = ("selection",)
    OUTPUT = "reading"
    STAGE = "volume"

    def __init__(self, fragment: Any, *, chain: ReadingChain, journal: RunJournal) -> None:
        self._chain = chain
        super().__init__(fragment, journal=journal)

    def work(self, selection: Iterable[SeriesDecision]) -> StudyReading[SourceSeries]:
        sources = [self._chain.read(decision) for decision in selection]
        for source in sources:
            for remark in source.remarks:
                self.journal.warn("source-remark", remark)
            for change in padded_headers(source.headers)[1]:
                self.journal.warn("source-value", f"series {source.series_instance_uid}: {change}")
        return StudyReading(tuple(SeriesReading(source) for source in sources))
