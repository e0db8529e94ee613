"""Encoder slices in, features out."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.features import EncoderInput, FeatureVolume
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.study_run.journal import RunJournal
from operators.study_run.reading_chain import ReadingChain


class EncoderOperator(Step):
    """Run the vision transformer over every slice, or take its features from the cache where there is one.

    It books two stages, what the cache takes and what the encoder does.
    """

    INPUTS = ("reading",)
    OUTPUT = "reading"

    def __init__(self, fragment: Any, *, chain: ReadingChain, scratch: Path, journal: RunJournal) -> None:
        self._chain = chain
        self._scratch = scratch
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        encode = self._look_up(reading) if self._chain.cache else partial(self._chain.encode, scratch=self._scratch)
        with self.journal.stage("encoder", device=",".join(self._chain.encoder.devices)):
            return reading.with_each(lambda series: replace(series, features=encode(series.prepared)))

    def _look_up(self, reading: StudyReading[SourceSeries]) -> Callable[[EncoderInput], FeatureVolume]:
        """What gives a series' features: those that the cache holds, else the encoder, which puts them there."""
        with self.journal.stage("feature cache"):
            entries = {series.prepared: self._chain.entry(series.prepared) for series in reading.current}
            found = {prepared: entry.find() for prepared, entry in entries.items()}
        return lambda prepared: found[prepared] or entries[prepared].encode()
