"""How well a mask agrees with the true one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def dice(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 1 for equal ones; two empty masks agree."""
    total = np.count_nonzero(predicted) + np.count_nonzero(true)
    return 2.0 * np.count_nonzero(predicted & true) / total if total else 1.0


def hd95(predicted: NDArray[np.bool_], true: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """The larger of the two directed 95th percentiles of distances between the masks' borders, in *spacing*'s unit.

    nan where one of them is empty: nothing is at a distance from nothing.
    """
    directed = border_distances(predicted, true, spacing)
    return float(max(np.percentile(distances, 95) for distances in directed)) if directed else float("nan")


def surface_distance(predicted: NDArray[np.bool_], true: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """The mean distance of all voxels of either border to the other border, in *spacing*'s unit; nan as in `hd95`."""
    directed = border_distances(predicted, true, spacing)
    return float(np.concatenate(directed).mean()) if directed else float("nan")


def border_distances(
    predicted: NDArray[np.bool_], true: NDArray[np.bool_], spacing: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Distance from each border voxel of a mask to the nearest of the other, for both; none where one is empty."""
    if not predicted.any() or not true.any():
        return ()
    # A single slice has borders within the slice alone.
    several = [axis for axis, size in enumerate(true.shape) if size > 1]
    spacing = spacing[several]
    # Nothing outside the box of both is on a border or nearest to one.
    box = ndimage.find_objects(np.squeeze(predicted | true).astype(np.uint8))[0]
    predicted, true = np.squeeze(predicted)[box], np.squeeze(true)[box]
    borders = [mask & ~ndimage.binary_erosion(mask, border_value=0) for mask in (predicted, true)]
    distances = [ndimage.distance_transform_edt(~border, sampling=spacing) for border in borders]
    return tuple(distances[1 - side][borders[side]] for side in (0, 1))


def best_threshold(scores: NDArray[np.float32], true: NDArray[np.bool_], thresholds: Sequence[float]) -> float:
    """The one above which *scores* agree best with *true*, by Dice; of equal ones the middle, farthest from
    what either side has.

    thresholds : ascending
    """
    passed = np.searchsorted(np.asarray(thresholds, scores.dtype), scores.ravel())
    above, right = (
        np.cumsum(np.bincount(of, minlength=len(thresholds) + 1)[::-1])[::-1][1:]
        for of in (passed, passed[true.ravel()])
    )
    total = above + np.count_nonzero(true)
    agreements = np.where(total > 0, 2.0 * right / total.clip(min=1), 1.0)
    best = np.flatnonzero(agreements == agreements.max())
    return thresholds[int(best[len(best) // 2])]
