"""What a head is: its record, what it reads of a series, and how it comes to an answer, a few slices at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import repeat
from operator import or_
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from torch import Tensor

from operators.domain.features import BLOCK, EncoderInput, FeatureVolume
from operators.domain.finding import Algorithm, Finding
from operators.domain.geometry import Geometry
from operators.domain.measurement import Measurement
from operators.domain.value_meaning import ValueMeaning
from operators.domain.volume import Volume
from operators.encoder.snapshot import Snapshot
from operators.errors import ModelDigestError, ModelError
from operators.heads.labels import Label
from operators.heads.masks import Masks
from operators.heads.records import read_toml
from operators.heads.scope import Contrast, Scope


class HeadRecord(Scope):
    """What every head.toml says.

    data : what the head was fitted on
    measured : figures on patients that the head did not see, by name
    """

    task: str
    kind: str
    name: str
    version: str
    encoder_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    data: str
    measured: dict[str, float | int | str] = Field(default_factory=dict)


Point = tuple[float, float, float]
RecordOfKind = TypeVar("RecordOfKind", bound=HeadRecord)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a head reads of a series beside CLS.

    tokens : patch tokens after the final norm
    blocks : outputs of so many last blocks before the final norm
    segment : the segment whose mask is its region of interest
    image : the encoder's slices themselves
    """

    tokens: bool = False
    blocks: int = 0
    segment: str | None = None
    image: bool = False

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(
            tokens=self.tokens or other.tokens,
            blocks=max(self.blocks, other.blocks),
            segment=self.segment or other.segment,
            image=self.image or other.image,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBlock:
    """Features of a few slices, on the device that the heads run on; None for what no head needs.

    place : of the slices along the slice axis
    cls : (n, D) and tokens : (n, N, D), after the final norm
    states : (n, 1 + N, B D), before it; see `FeatureVolume`
    images : (n, 1, P, P), what the encoder saw
    """

    place: slice
    cls: Tensor
    tokens: Tensor | None
    states: Tensor | None
    images: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SeriesFeatures:
    """A series as heads see it.

    source : the grid that masks are drawn on
    modality : of the headers
    values : what pixel values mean
    device : that the heads run on, a torch name
    contrast : whether the headers name a contrast agent; None where they do not tell
    encoder_input : what the features were made of, for heads that look at the image too
    masks : (D, H, W) bool on the source's grid by segment, of those that heads read as their regions of interest
    """

    features: FeatureVolume
    source: Geometry
    modality: str
    series_instance_uid: str
    device: str = "cpu"
    values: ValueMeaning = "scanner units"
    contrast: Contrast | None = None
    encoder_input: EncoderInput | None = None
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def blocks(self, needs: Needs) -> Iterator[FeatureBlock]:
        """All slices, a few at a time, with what *needs* names.

        Raises
        ------
        ModelError
            A feature is not finite: no head may judge by it.
        """
        features = self.features
        images = self._images() if needs.image else repeat(None)
        for start in range(0, features.geometry.shape[0], BLOCK):
            place = slice(start, min(start + BLOCK, features.geometry.shape[0]))
            yield FeatureBlock(
                place,
                self._on_device(features.cls, place),
                self._on_device(features.tokens, place) if needs.tokens else None,
                self._on_device(features.states, place) if needs.blocks else None,
                next(images),
            )

    def _images(self) -> Iterator[Tensor]:
        assert self.encoder_input is not None, "whoever builds it for heads that need the image gives it"
        for block in self.encoder_input.blocks(0, BLOCK):
            # Through DLPack NumPy and CuPy arrays arrive alike.
            yield torch.utils.dlpack.from_dlpack(block).to(self.device)

    def centre_of(self, index: int) -> Point:
        """(x, y, z) LPS mm of the middle of the features' slice *index*."""
        _, rows, columns = self.features.geometry.shape
        x, y, z = self.features.geometry.positions(np.array([index, (rows - 1) / 2, (columns - 1) / 2]))
        return float(x), float(y), float(z)

    def _on_device(self, array: Any, place: slice) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array[place], np.float32)).to(self.device)
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"features of series {self.series_instance_uid}: expected finite values, slices {place.start + 1} to "
                f"{place.stop} have some that are not; run the encoder in float32 or bfloat16 and check its weights"
            )
        return tensor


@dataclass(frozen=True, slots=True, eq=False)
class HeadAnswer:
    """What a head says about one series.

    evidence : log odds on the token grid by finding, before calibration
    points : (x, y, z) LPS mm by finding, of the place that decided, where no mask shows it
    masks : what it shows, of findings only where they are present
    regions : probability of each body region, from a body-region head alone
    """

    findings: tuple[Finding, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    evidence: Mapping[str, Volume] = field(default_factory=dict)
    points: Mapping[str, Point] = field(default_factory=dict)
    masks: tuple[Masks, ...] = ()
    regions: Mapping[str, float] = field(default_factory=dict)


class Reading(Protocol):
    """A head at work on one series."""

    def take(self, block: FeatureBlock) -> None:
        """Read the next slices; they come in order."""

    def answer(self) -> HeadAnswer:
        """The answer, once every slice was read."""


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """The reading of a head whose answer is known without the features."""

    settled: HeadAnswer

    def take(self, block: FeatureBlock) -> None:
        """Nothing is read."""

    def answer(self) -> HeadAnswer:
        return self.settled


class Head(Protocol):
    """A head of any kind."""

    @property
    def record(self) -> HeadRecord: ...

    @property
    def algorithm(self) -> Algorithm: ...

    @property
    def needs(self) -> Needs: ...

    def begin(self, series: SeriesFeatures) -> Reading:
        """Begin to read a series of a modality that the head knows."""

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        """The findings that it looks for, none of them evaluated."""


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """The heads of a model in the order in which they are asked; a bare snapshot has none."""

    all: tuple[Head, ...] = ()

    def of(self, task: str) -> tuple[Head, ...]:
        """Those for one task, say "segmentation"."""
        return tuple(head for head in self.all if head.record.task == task)

    @property
    def needs(self) -> Needs:
        """What all of them together read of a series."""
        return joined(self.all)


@dataclass(frozen=True, slots=True, eq=False)
class HeadFolder:
    """A head on disk beside the encoder that is to make its features.

    sha256 : over all files of the folder
    """

    path: Path
    snapshot: Snapshot
    sha256: str

    @property
    def width(self) -> int:
        """Width of the encoder's features."""
        return self.snapshot.config.hidden_size

    def record(self, kind: type[RecordOfKind]) -> RecordOfKind:
        """head.toml as one kind's record.

        Raises
        ------
        CheckpointError
            The file is malformed.
        ModelDigestError
            The head belongs to another encoder.
        """
        record = read_toml(self.path / "head.toml", TypeAdapter(kind))
        self.check_encoder(record.encoder_sha256)
        return record

    def check_encoder(self, sha256: str) -> None:
        """Raises ModelDigestError where the head was trained on another encoder's features."""
        if sha256 != self.snapshot.sha256:
            raise ModelDigestError(
                f"head {self.path.name}: trained on the encoder {sha256[:12]}, this folder holds "
                f"{self.snapshot.sha256[:12]}; heads do not carry over to other features"
            )

    def algorithm(self, record: HeadRecord) -> Algorithm:
        """The head's identity; a changed threshold makes another one."""
        return Algorithm(record.name, record.version, self.sha256)


def finding_of(
    label: Label,
    record: HeadRecord,
    series: SeriesFeatures,
    *,
    name: str = "",
    probability: float | None = None,
    threshold: float | None = None,
    present: bool | None = None,
    reason: str | None = None,
) -> Finding:
    """One entry of ``findings[]``.

    name : empty for the label's own
    reason : why *present* is None
    """
    return Finding(
        name=name or label.name,
        code=label.code,
        site=label.site,
        laterality=label.laterality,
        head=record.name,
        series_instance_uid=series.series_instance_uid,
        probability=probability,
        threshold=threshold,
        present=present,
        not_evaluated=reason,
    )


def joined(heads: Sequence[Head]) -> Needs:
    """What several heads together read of a series."""
    return reduce(or_, (head.needs for head in heads), Needs())


def ask(heads: Sequence[Head], series: SeriesFeatures) -> tuple[HeadAnswer, ...]:
    """The answers of all *heads*, in one pass over the series' features."""
    readings = [head.begin(series) for head in heads]
    # Not inference mode: what each token contributes is taken from a gradient.
    with torch.no_grad():
        for block in series.blocks(joined(heads)) if readings else ():
            for reading in readings:
                reading.take(block)
        return tuple(reading.answer() for reading in readings)
