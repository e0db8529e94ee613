"""From evidence to masks on the source's grid: the strongest class wins, or what lies above a threshold."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from operators.domain.components import components_by_weight, without_small_components, without_small_holes
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.evidence import FULL, above, class_probabilities, probability, slabs, strongest_class
from operators.heads.labels import Label
from operators.imaging.resampling import resample

MOST_REGIONS = 5
"""How many regions of one finding are drawn, each measured by itself."""


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
    minimum_volume_ml : see `cleaned`
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
            mask = cleaned(label_map == number, self.minimum_volume_ml, source)
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
        mask = cleaned(above(self.evidence, self.threshold, source), self.minimum_volume_ml, source)
        of_finding = probability(self.evidence, source) if with_probabilities else None
        yield Region(self.label, self.head, mask, self.finding, of_finding)


@dataclass(frozen=True, slots=True, eq=False)
class ContributionMasks:
    """Where what speaks for a present finding comes from: one mask for each connected region, the strongest first.

    contributions : of each token
    share : the regions' tokens together make so much of all that speaks for the finding
    """

    head: str
    finding: str
    label: Label
    contributions: Volume
    share: float
    minimum_volume_ml: float

    def regions(self, source: Geometry, *, with_probabilities: bool) -> Iterator[Region]:
        """The strongest regions, at most `MOST_REGIONS`."""
        values = np.asarray(self.contributions.array, np.float64)
        mask = above(self.contributions, share_threshold(values, self.share), source)
        kept = cleaned(mask, self.minimum_volume_ml, source)
        weights = np.concatenate([resample(self.contributions, slab, order=1).array for _, slab in slabs(source)])
        # A share of the strongest token's part, which is no probability but what FRACTIONAL has room for.
        strength = np.rint(FULL * np.clip(weights / values.max(), 0, 1)).astype(np.uint8)
        for region in islice(components_by_weight(kept, weights), MOST_REGIONS):
            yield Region(self.label, self.head, region, self.finding, strength if with_probabilities else None)


def share_threshold(values: NDArray[np.floating], share: float) -> float:
    """The value above which the largest of *values* lie that together make *share* of all that are above 0."""
    falling = np.sort(values[values > 0], axis=None)[::-1]
    if not len(falling):
        return np.inf
    kept = int(np.searchsorted(np.cumsum(falling), share * falling.sum() * (1 - 1e-9))) + 1
    below = falling[kept] if kept < len(falling) else 0.0
    return float(falling[min(kept, len(falling)) - 1] + below) / 2


def cleaned(mask: NDArray[np.bool_], minimum_volume_ml: float, geometry: Geometry) -> NDArray[np.bool_]:
    """The mask without connected parts under a volume, and then with holes under it filled, both by faces in 3D.

    Masks of different classes stay apart: what lies in a hole is smaller than the hole.
    """
    smallest = minimum_volume_ml / geometry.voxel_volume_ml
    return without_small_holes(without_small_components(mask, smallest), smallest)
