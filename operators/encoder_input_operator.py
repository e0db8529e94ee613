"""Volumes in, encoder slices out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.features import EncoderInput
from operators.domain.reading import SeriesReading, StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.reading_chain import ReadingChain


class EncoderInputOperator(Step):
    """Check each volume and make ready to reorient, resample and normalise it as the encoder was trained on.

    The slices are made when the encoder asks for them, on the GPU where there is one. Their time is booked under this
    stage, except what overlaps with the encoder on the GPU.
    """

    INPUTS = ("reading",)
    OUTPUT = "reading"
    STAGE = "resampling"

    def __init__(self, fragment: Any, *, chain: ReadingChain, journal: RunJournal) -> None:
        self._chain = chain
        self.device = chain.array_module.device
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        return reading.with_each(self._with_input)

    def _with_input(self, series: SeriesReading[SourceSeries]) -> SeriesReading[SourceSeries]:
        made = self._chain.prepare(series.source)
        for remark in made.remarks:
            self.journal.warn("source-remark", f"series {series.source.series_instance_uid}: {remark}")
        return replace(series, encoder_input=self._timed(made))

    def _timed(self, made: EncoderInput) -> EncoderInput:
        def blocks(start: int, size: int) -> Iterator[Any]:
            remaining = made.blocks(start, size)
            while True:
                with self.journal.within(self.STAGE):
                    block = next(remaining, None)
                if block is None:
                    return
                yield block

        return replace(made, blocks=blocks)
