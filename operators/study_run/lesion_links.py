"""Which segment of one date is which of another: the same thing is of the same type and lies in the same place."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from operators.domain.segment import Segment

SMALLEST_OVERLAP = 0.1
"""Least overlap, as a share of the smaller of the two: less is two things that touch, or a registration that is off."""


def same_things(today: Sequence[Segment], carried: Sequence[Segment]) -> dict[int, int]:
    """For each place in *today*, the place in *carried* of what it was on an earlier date.

    carried : on the grid of today's masks; each is one thing at most, such that all overlaps together are largest
    """
    if not today or not carried:
        return {}
    shares = np.array([[_overlap(segment, earlier) for earlier in carried] for segment in today])
    rows, columns = linear_sum_assignment(shares, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if shares[row, column] >= SMALLEST_OVERLAP}


def _overlap(segment: Segment, earlier: Segment) -> float:
    if (segment.type.value, segment.type.scheme) != (earlier.type.value, earlier.type.scheme):
        return 0.0
    one: NDArray[np.bool_] = segment.mask
    other: NDArray[np.bool_] = earlier.mask
    smaller = min(int(np.count_nonzero(one)), int(np.count_nonzero(other)))
    return int(np.count_nonzero(one & other)) / max(smaller, 1)
