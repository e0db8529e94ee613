"""The smallest box that holds a mask."""

from typing import Any

import numpy as np


def bounding_box(mask: Any) -> tuple[slice, ...]:
    """A slice per axis from the first to the last element that is not zero; each is ``slice(0, 0)`` where none is."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        there = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        box.append(slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, 0))
    return tuple(box)
