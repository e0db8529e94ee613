"""From a folder to features: what today's study and every prior go through."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from operators.dicom.results.source_headers import padded_headers
from operators.dicom.selection.next_best import BestReadable, read_best
from operators.dicom.selection.rules import SelectionRules
from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.volumes.slices import VolumeCandidate
from operators.dicom.volumes.source_series import SourceSeries
from operators.dicom.volumes.volume_reader import read_volume
from operators.domain.features import EncoderInput, EncoderInputSettings, FeatureVolume
from operators.encoder.feature_cache import CacheEntry, FeatureCache
from operators.encoder.features import Encoder
from operators.imaging.array_module import ArrayModule
from operators.imaging.encoder_input import make_encoder_input
from operators.study_run.journal import RunWarning
from operators.study_run.region_probe import RegionProbe, look_again


@dataclass(frozen=True, slots=True, eq=False)
class ReadingChain:
    """What a deployment reads a study's series with.

    blocks : of which the heads read the outputs before the encoder's final norm
    """

    rules: SelectionRules
    region_probe: RegionProbe | None
    limits: ReadLimits
    settings: EncoderInputSettings
    array_module: ArrayModule
    encoder: Encoder
    cache: FeatureCache | None
    blocks: int

    def look_again(self, decisions: tuple[SeriesDecision, ...]) -> tuple[SeriesDecision, ...]:
        """The decisions with the body regions that the encoder sees."""
        return look_again(decisions, self.rules, self.region_probe)

    def read(self, decision: SeriesDecision) -> SourceSeries:
        """The voxels of a selected series, on their regular grid."""
        return _told(decision, self._read(decision.volume))

    def read_best(self, decisions: tuple[SeriesDecision, ...]) -> BestReadable[SourceSeries]:
        """Read every selected series; the next best, where one cannot be read."""
        best = read_best(decisions, self.rules, self._read)
        return replace(best, read=tuple((decision, _told(decision, source)) for decision, source in best.read))

    def _read(self, volume: VolumeCandidate) -> SourceSeries:
        return read_volume(volume, role="", limits=self.limits)

    def prepare(self, source: SourceSeries) -> EncoderInput:
        """The encoder's slices, made when they are asked for."""
        return make_encoder_input(source.volume, self.settings, self.array_module)

    def entry(self, encoder_input: EncoderInput) -> CacheEntry:
        """Where the features of a series are kept or will be."""
        assert self.cache is not None, "only a deployment with a cache asks for its entries"
        return self.cache.entry(encoder_input, self.encoder, blocks=self.blocks)

    def encode(self, encoder_input: EncoderInput, *, scratch: Path) -> FeatureVolume:
        """The features, past any cache."""
        return self.encoder.encode(encoder_input, scratch=scratch, blocks=self.blocks)


def source_warnings(source: SourceSeries) -> Iterator[RunWarning]:
    """What a reader of the results should know of a series: how it was read, and what results cannot take over."""
    for remark in source.remarks:
        yield RunWarning(code="source-remark", message=remark)
    for change in padded_headers(source.headers)[1]:
        message = f"series {source.series_instance_uid}: {change}"
        yield RunWarning(code="source-value", message=message)


def _told(decision: SeriesDecision, source: SourceSeries) -> SourceSeries:
    """With what it was selected for, and why."""
    return replace(source, role=", ".join(decision.roles), reasons=decision.reasons)
