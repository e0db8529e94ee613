"""A study as far as it has been read: one record that every step of the graph returns with more in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, Self, TypeVar

from operators.domain.features import EncoderInput, FeatureVolume
from operators.domain.finding import Evidence, Finding, TokenContributions
from operators.domain.follow_up import FollowUp
from operators.domain.measurement import Measurement
from operators.domain.registration import Registration
from operators.domain.segment import PriorSegment, SeriesSegments
from operators.domain.volume import Volume


class SeriesSource(Protocol):
    """What a reading needs to know of the images; `operators.dicom.volumes.source_series.SourceSeries` is one.

    nearest_instance_uids : of the instance nearest to each slice of the volume, in its order
    """

    @property
    def series_instance_uid(self) -> str: ...

    @property
    def modality(self) -> str: ...

    @property
    def volume(self) -> Volume: ...

    @property
    def nearest_instance_uids(self) -> tuple[str, ...]: ...


class Draw(Protocol):
    """See `operators.heads.segments.predict_segments`, which is one with all that it needs of the series."""

    def __call__(
        self, *, tracking_uid: Callable[[str, str], str], with_probabilities: bool = False
    ) -> SeriesSegments: ...


Source = TypeVar("Source", bound=SeriesSource, covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class SeriesReading(Generic[Source]):
    """One selected series and what was made of it; what a step has not reached yet is None or empty.

    encoder_input : the encoder's slices, which are made when they are asked for, by some heads once more
    regions : probability of each body region, empty without a head that tells it
    points : (x, y, z) LPS mm by finding, of the place that decided, where no mask shows it
    evidence : of the findings that were evaluated
    contributions : to present findings of classes, whose heads give no evidence
    draw : draws what the heads show, which takes memory: anatomy first, then present findings
    segments : as they were drawn on the volume's grid; empty where nothing was found
    slice_segments : the same on the source's own slices, as results show them
    outlined : of a prior's series: what objects of its study outline on it, whoever made them
    outlines : headers of these objects
    follow_up : what became of it since earlier studies; None where none could be compared
    """

    source: Source
    encoder_input: EncoderInput | None = None
    features: FeatureVolume | None = None
    regions: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    points: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    contributions: tuple[TokenContributions, ...] = ()
    draw: Draw | None = None
    segments: SeriesSegments | None = None
    slice_segments: SeriesSegments | None = None
    measurements: tuple[Measurement, ...] = ()
    outlined: tuple[PriorSegment, ...] = ()
    outlines: tuple[Any, ...] = ()
    follow_up: FollowUp | None = None

    @property
    def prepared(self) -> EncoderInput:
        """The encoder's input of a series that was prepared."""
        assert self.encoder_input is not None, "the graph prepares the encoder's input before it is asked for"
        return self.encoder_input

    @property
    def drawing(self) -> Draw:
        """What draws the segments of a series that the heads have read."""
        assert self.draw is not None, "the graph asks the heads before anything is drawn"
        return self.draw

    @property
    def encoded(self) -> FeatureVolume:
        """The features of a series that was encoded."""
        assert self.features is not None, "the graph puts the encoder before everything that takes features"
        return self.features


@dataclass(frozen=True, slots=True, eq=False)
class PriorReading(Generic[Source]):
    """An earlier study of the same patient.

    days_before : from that study to the current one; None where a date is missing
    compared : the series to compare each current one with, by the current one's Series Instance UID
    """

    study_instance_uid: str
    days_before: int | None
    compared: Mapping[str, SeriesReading[Source]]


@dataclass(frozen=True, slots=True, eq=False)
class SeriesRegistration(Generic[Source]):
    """A prior's series, aligned to the current one that it is compared with.

    tracked : what the prior's series shows, under the tracking identity that it has in the current study
    carried : the prior's segments on the current volume's grid, under the identity that their own objects give them
    slice_carried : the same on the current source's own slices, as results show them; both None where nothing was
        carried
    """

    fixed: SeriesReading[Source]
    moving: SeriesReading[Source]
    prior: PriorReading[Source]
    found: Registration
    tracked: tuple[PriorSegment, ...] = ()
    carried: SeriesSegments | None = None
    slice_carried: SeriesSegments | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StudyReading(Generic[Source]):
    """The study's selected series, and the earlier studies that it is compared with.

    prior : the latest first; empty where none was given or none could be read
    registrations : of the priors, in their order
    """

    current: tuple[SeriesReading[Source], ...]
    prior: tuple[PriorReading[Source], ...] = ()
    registrations: tuple[SeriesRegistration[Source], ...] = ()

    def with_each(self, read: Callable[[SeriesReading[Source]], SeriesReading[Source]]) -> Self:
        """The reading after *read* was called on each series of the current study."""
        return replace(self, current=tuple(read(series) for series in self.current))

    @property
    def says_something(self) -> bool:
        """Whether there is anything to report beside the features."""
        is_shown = any(series.segments for series in self.slice_segments)
        return bool(self.findings or self.measurements or self.registrations) or is_shown

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(series.source for series in self.current)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for series in self.current for finding in series.findings)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(evidence for series in self.current for evidence in series.evidence)

    @property
    def segments(self) -> tuple[SeriesSegments, ...]:
        """One entry for each series that went through segmentation, empty ones too."""
        return tuple(series.segments for series in self.current if series.segments is not None)

    @property
    def slice_segments(self) -> tuple[SeriesSegments, ...]:
        """The segments of each series, on the slices of its source."""
        return tuple(series.slice_segments for series in self.current if series.slice_segments is not None)

    @property
    def follow_ups(self) -> tuple[FollowUp, ...]:
        """One for each series that could be compared with an earlier one."""
        return tuple(series.follow_up for series in self.current if series.follow_up is not None)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        return tuple(measurement for series in self.current for measurement in series.measurements)
