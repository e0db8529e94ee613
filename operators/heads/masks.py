"""From evidence to masks on the source's grid: the strongest class wins, or what lies above a threshold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.evidence import above, class_probabilities, probability, strongest_class
from operators.heads.labels import Label
from operators.imaging.components import without_small_components


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A mask before it gets its number.

    finding : name of the finding that it localises, None for anatomy
    probability : see `operators.domain.segment.Segment`
    """

    label: Label
    head: str
    mask: NDArray[np.bool_]
    finding: str | None = None
    probability: NDArray[np.uint8] | None = None


class Masks(Protocol):
    """What a head shows, ready to be drawn on a source's grid."""

    @property
    def head(self) -> str: ...

    @property
    def finding(self) -> str | None:
        """Name of the finding that the masks localise, None for anatomy."""

    def regions(self, source: Geometry, *, with_probabilities: bool) -> Iterator[Region]:
        """Masks on the grid *source*; some may be empty."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassMasks:
    """Each voxel belongs to the class of the largest evidence above 0.

    evidence : one for each label
    minimum_volume_ml : smaller connected components are dropped
    """

    head: str
    labels: tuple[Label, ...]
    evidence: tuple[Volume, ...]
    minimum_volume_ml: float
    finding: None = None

    def regions(self, source: Geometry, *, with_probabilities: bool) -> Iterator[Region]:
        """One for each label."""
        label_map = strongest_class(self.evidence, source)
        of_labels = class_probabilities(self.evidence, source) if with_probabilities else (None,) * len(self.labels)
        for number, (label, of_label) in enumerate(zip(self.labels, of_labels, strict=True), start=1):
            mask = without_specks(label_map == number, self.minimum_volume_ml, source)
            yield Region(label, self.head, mask, None, of_label)


@dataclass(frozen=True, slots=True, eq=False)
class FindingMask:
    """Where the log odds of a present finding lie above a threshold, all in one mask."""

    head: str
    finding: str
    label: Label
    evidence: Volume
    threshold: float
    minimum_volume_ml: float

    def regions(self, source: Geometry, *, with_probabilities: bool) -> Iterator[Region]:
        """The one mask."""
        mask = without_specks(above(self.evidence, self.threshold, source), self.minimum_volume_ml, source)
        of_finding = probability(self.evidence, source) if with_probabilities else None
        yield Region(self.label, self.head, mask, self.finding, of_finding)


def without_specks(mask: NDArray[np.bool_], minimum_volume_ml: float, geometry: Geometry) -> NDArray[np.bool_]:
    """The mask without connected components (by faces) under a volume."""
    return without_small_components(mask, minimum_volume_ml / geometry.voxel_volume_ml)
