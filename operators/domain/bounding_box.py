"""The smallest box that holds a mask."""

from typing import Any

import numpy as np


def bounding_box(mask: Any, *, margin: int = 0) -> tuple[slice, ...]:
    """A slice per axis from the first to the last element that is not zero; each is ``slice(0, 0)`` where none is.

    margin : elements round it that the box also holds, as far as the mask's array goes
    """
    box: list[slice] = []
    for axis, size in enumerate(mask.shape):
        there = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        if there.size:
            box.append(slice(max(int(there[0]) - margin, 0), min(int(there[-1]) + 1 + margin, size)))
        else:
            box.append(slice(0, 0))
    return tuple(box)
