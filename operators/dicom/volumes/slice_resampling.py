"""Slices that are off the grid to voxels on it: linear along each axis, NaN where no slice tells the value."""

import numpy as np
from numpy.typing import NDArray

from operators.dicom.volumes.slice_layout import SliceLayout

Floats = NDArray[np.float32]


def resample_slices(slices: Floats, layout: SliceLayout) -> Floats:
    """(D, rows, columns) values of the slices to the layout's grid."""
    if not layout.is_straight:
        slices = _unsheared(slices, layout)
    return slices if layout.is_even else _evened(slices, layout)


def _unsheared(slices: Floats, layout: SliceLayout) -> Floats:
    unsheared = np.full((len(slices), *layout.geometry.shape[1:]), np.nan, np.float32)
    for image, offsets, target in zip(slices, layout.offsets, unsheared, strict=True):
        (rows, row), (columns, column) = divmod(offsets[0], 1), divmod(offsets[1], 1)
        moved = _moved(_moved(image, row).T, column).T
        # Moving by a fraction loses the first line, whose neighbour is not in the image.
        start_row, start_column = int(rows) + (row > 0), int(columns) + (column > 0)
        target[start_row : start_row + moved.shape[0], start_column : start_column + moved.shape[1]] = moved
    return unsheared


def _moved(image: Floats, fraction: float) -> Floats:
    """The image moved down by less than a pixel; one line shorter unless it stays where it is."""
    if not fraction:
        return image
    return np.float32(1 - fraction) * image[1:] + np.float32(fraction) * image[:-1]


def _evened(slices: Floats, layout: SliceLayout) -> Floats:
    evened, depths = np.empty(layout.geometry.shape, np.float32), layout.depths
    for k, target in enumerate(evened):
        below = int(np.clip(np.searchsorted(depths, k, side="right") - 1, 0, len(depths) - 2))
        weight = (k - depths[below]) / (depths[below + 1] - depths[below])
        weight = float(np.clip(weight, 0.0, 1.0))
        np.multiply(slices[below], np.float32(1 - weight), out=target)
        target += np.float32(weight) * slices[below + 1]
    return evened
