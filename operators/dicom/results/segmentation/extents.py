"""Where in the volume a mask lies, found once: everything else looks at that part only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """Where a mask lies.

    slices : ascending indices of the slices that hold something; box : bounding box, empty for an empty mask"""

    slices: NDArray[np.intp]
    box: tuple[slice, slice, slice]


def extent_of(array: NDArray[Any]) -> Extent:
    """Extent of what is not zero in a (D, H, W) array."""
    slices = np.flatnonzero(array.any(axis=(1, 2)))
    depth = _span(slices)
    plane = np.asarray(np.any(array[depth], axis=0))
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return Extent(slices, (depth, _span(rows), _span(columns)))


def touching(extents: Sequence[Extent]) -> NDArray[np.bool_]:
    """(N, N): whether two bounding boxes share a voxel, a face, an edge or a corner."""
    first = np.array([[axis.start for axis in extent.box] for extent in extents])
    stop = np.array([[axis.stop for axis in extent.box] for extent in extents])
    return np.asarray(((first[:, None] <= stop) & (first <= stop[:, None])).all(axis=-1))


def _span(indices: NDArray[np.intp]) -> slice:
    return slice(int(indices[0]), int(indices[-1]) + 1) if indices.size else slice(0, 0)
