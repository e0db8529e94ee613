"""Masks of a series, before they become a DICOM Segmentation."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.domain.concepts import ANATOMICAL_STRUCTURE, Code
from operators.domain.geometry import Geometry


def key_slice(mask: Any) -> int:
    """Index of the slice on which a (D, H, W) mask covers most pixels, the first of equals."""
    return int(np.argmax(mask.sum(axis=(1, 2))))


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A mask on the series' volume, or on the slices it was read from.

    number : 1, 2, ... within the series' SEG
    mask : (D, H, W) bool, in the order of the volume's planes, or of the source's slices
    finding : name of the finding that the mask localises, None for anatomy
    is_prompted : a person pointed at it; without that, nobody had a hand in it
    probability : (D, H, W) uint8 in steps of 1/255 that a voxel belongs to the segment, only when it was asked for
    """

    number: int
    label: str
    category: Code
    type: Code
    head: str
    tracking_id: str
    tracking_uid: str
    mask: Any
    finding: str | None = None
    probability: Any = None
    is_prompted: bool = False

    @property
    def key_slice(self) -> int:
        return key_slice(self.mask)


@dataclass(frozen=True, slots=True, eq=False)
class SeriesSegments:
    """Every non-empty segment of one source series.

    geometry : of the series' volume
    """

    series_instance_uid: str
    geometry: Geometry
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PriorSegment:
    """A segment of an earlier image, on a grid of its own.

    mask : (D, H, W) bool on *geometry*, in the prior's frame
    is_stored : an object in the archive holds it under this tracking UID
    """

    label: str
    category: Code
    type: Code
    tracking_id: str
    tracking_uid: str
    mask: Any
    geometry: Geometry
    is_stored: bool = True

    @property
    def is_lesion(self) -> bool:
        """Anything but an organ: what somebody outlined without a word is taken for something to be followed."""
        return self.category.value != ANATOMICAL_STRUCTURE.value
