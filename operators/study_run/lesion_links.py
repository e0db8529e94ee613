"""Which of today's segments is which of the prior's: the same thing keeps its tracking UID."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from operators.domain.segment import Segment, SeriesSegments

SMALLEST_OVERLAP = 0.1
"""Of the smaller of the two: less is two things that touch, or a registration that is off."""


def linked(today: SeriesSegments, carried: SeriesSegments) -> SeriesSegments:
    """Today's segments, those that are an earlier one's successor under its tracking id and UID.

    carried : the prior's segments on today's grid; one of the same type that overlaps is the predecessor, each of at
        most one, such that all overlaps together are largest. What has no predecessor keeps its own identity.
    """
    if not today.segments or not carried.segments:
        return today
    shares = np.array([[_overlap(segment, earlier) for earlier in carried.segments] for segment in today.segments])
    rows, columns = linear_sum_assignment(shares, maximize=True)
    predecessors = {
        int(row): carried.segments[int(column)]
        for row, column in zip(rows, columns, strict=True)
        if shares[row, column] >= SMALLEST_OVERLAP
    }
    segments = tuple(
        _successor(segment, predecessors[index]) if index in predecessors else segment
        for index, segment in enumerate(today.segments)
    )
    return replace(today, segments=segments)


def _successor(segment: Segment, earlier: Segment) -> Segment:
    return replace(segment, tracking_id=earlier.tracking_id, tracking_uid=earlier.tracking_uid)


def _overlap(segment: Segment, earlier: Segment) -> float:
    if (segment.type.value, segment.type.scheme) != (earlier.type.value, earlier.type.scheme):
        return 0.0
    one: NDArray[np.bool_] = segment.mask
    other: NDArray[np.bool_] = earlier.mask
    smaller = min(int(np.count_nonzero(one)), int(np.count_nonzero(other)))
    return int(np.count_nonzero(one & other)) / max(smaller, 1)
