"""What looks like a place that somebody points at: one token against all others, by their cosine."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.domain.prompt import PromptPoint
from operators.domain.volume import Volume
from operators.encoder.kept_features import KeptSeries
from operators.errors import InputError

EXCLUDED = -1.0
"""The similarity of a token that is nearer to a negative point than to any positive one: the lowest cosine there is."""


def similarity_maps(series: Sequence[KeptSeries], points: Sequence[PromptPoint]) -> tuple[Volume, ...]:
    """For each series the similarity of its tokens to the points, on the grid of tokens.

    Each token's cosine with the positive point that it is most like; `EXCLUDED` where it is more like a negative one.
    The points may lie in any of the series.

    Raises
    ------
    InputError
        No point is positive, or one lies outside its series or in none of these.
    """
    positive, negative = (_tokens_at(series, points, label) for label in (1, -1))
    if not len(positive):
        raise InputError("points: expected at least one with the label 1, got none")
    return tuple(_similarity(one, positive, negative) for one in series)


def token_index(series: KeptSeries, point: PromptPoint) -> tuple[int, int, int]:
    """Slice, row and column of the token that a point lies in.

    Raises
    ------
    InputError
        It lies in none.
    """
    slice_, row, column = (round(float(k)) for k in series.geometry.indices(np.array(point.point_lps_mm)))
    index = (slice_, row, column)
    if any(not 0 <= k < size for k, size in zip(index, series.geometry.shape, strict=True)):
        raise InputError(
            f"point {point.point_lps_mm}: outside series {point.series_instance_uid}; point into the image"
        )
    return index


def _tokens_at(series: Sequence[KeptSeries], points: Sequence[PromptPoint], label: int) -> NDArray[np.float32]:
    """(P, D)"""
    by_uid = {one.series_instance_uid: one for one in series}
    tokens = []
    for point in points:
        if point.label == label:
            if point.series_instance_uid not in by_uid:
                raise InputError(f"series {point.series_instance_uid} was not encoded; point into one that was")
            of = by_uid[point.series_instance_uid]
            slice_, row, column = token_index(of, point)
            tokens.append(of.tokens[slice_ : slice_ + 1][0, row * of.geometry.shape[2] + column])
    return np.array(tokens, np.float32)


def _similarity(series: KeptSeries, positive: NDArray[np.float32], negative: NDArray[np.float32]) -> Volume:
    slices, rows, columns = series.geometry.shape
    nearest = np.empty((slices, rows * columns), np.float32)
    for place, tokens in series.blocks():
        like = (tokens @ positive.T).max(axis=-1)
        if len(negative):
            like[(tokens @ negative.T).max(axis=-1) > like] = EXCLUDED
        nearest[place] = like
    return Volume(nearest.reshape(series.geometry.shape), series.geometry)
