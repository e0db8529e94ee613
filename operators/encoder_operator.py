"""Encoder slices in, features out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.features import FeatureVolume
from operators.domain.reading import SeriesReading, StudyReading
from operators.encoder.feature_cache import FeatureCache
from operators.encoder.features import Encoder
from operators.framework import Step
from operators.study_run.journal import RunJournal


class EncoderOperator(Step):
    """Run the vision transformer over every slice, or take its features from the cache where there is one.

    It books two stages, what the cache takes and what the encoder does.

    blocks : of which the heads read the outputs before the final norm
    """

    INPUTS = ("reading",)
    OUTPUT = "reading"

    def __init__(
        self,
        fragment: Any,
        *,
        encoder: Encoder,
        cache: FeatureCache | None,
        blocks: int,
        scratch: Path,
        journal: RunJournal,
    ) -> None:
        self._encoder = encoder
        self._cache = cache
        self._blocks = blocks
        self._scratch = scratch
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        encode = self._encode if self._cache is None else self._look_up(reading, self._cache)
        with self.journal.stage("encoder", device=",".join(self._encoder.devices)):
            return reading.with_each(lambda series: replace(series, features=encode(series)))

    def _encode(self, series: SeriesReading[SourceSeries]) -> FeatureVolume:
        return self._encoder.encode(series.prepared, scratch=self._scratch, blocks=self._blocks)

    def _look_up(
        self, reading: StudyReading[SourceSeries], cache: FeatureCache
    ) -> Callable[[SeriesReading[SourceSeries]], FeatureVolume]:
        """What gives a series' features: those that the cache holds, else the encoder, which puts them there."""
        with self.journal.stage("feature cache"):
            entries = {
                series: cache.entry(series.prepared, self._encoder, blocks=self._blocks) for series in reading.current
            }
            found = {series: entry.find() for series, entry in entries.items()}
        return lambda series: found[series] or entries[series].encode()
