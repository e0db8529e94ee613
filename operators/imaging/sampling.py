"""Values of an array between its voxels, at places that lie on no grid; on NumPy.

The definition is scipy.ndimage's with ``mode="nearest"``: beyond the border the array goes on with its edge values.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from operators.imaging.separable import AxisMap, build_axis_map, map_axes

SPLINE_MARGIN = 12
"""Voxels of edge value around the array before the spline is fitted, as scipy has it; its influence is under 1e-6."""

Coordinates = Callable[[int], NDArray[np.float64]]
"""Number of a target slice to (3, H, W) fractional indices into the source."""


def sample_slices(
    array: NDArray[Any], coordinates: Coordinates, shape: tuple[int, int, int], *, order: int
) -> NDArray[np.float32]:
    """The *shape* of values at the *coordinates* of each slice, the slices spread over the cores.

    order : 0 nearest, 1 trilinear, 3 cubic spline
    """
    out = np.empty(shape, np.float32)
    sample = {0: _nearest, 1: _trilinear, 3: _cubic}[order]
    values = spline_coefficients(array) if order == 3 else np.ascontiguousarray(array, dtype=np.float32)

    def work(index: int) -> None:
        out[index] = sample(values, coordinates(index))

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, range(shape[0])))
    return out


def spline_coefficients(array: NDArray[Any]) -> NDArray[np.float32]:
    """(D, H, W) to the cubic B-spline coefficients that interpolate it, with SPLINE_MARGIN more on every side."""
    slices, rows, columns = (_spline_filter(size) for size in array.shape)
    return map_axes(array, slices, rows, columns)


@lru_cache(maxsize=16)
def _spline_filter(size: int) -> AxisMap:
    # The filter is linear: what it makes of the unit impulses is its matrix.
    padded = np.pad(np.eye(size), ((0, 0), (SPLINE_MARGIN, SPLINE_MARGIN)), mode="edge")
    return build_axis_map(scipy.ndimage.spline_filter1d(padded, 3, axis=1, mode="nearest").T)


def _nearest(array: NDArray[np.float32], coordinates: NDArray[np.float64]) -> NDArray[np.float32]:
    places = zip(coordinates, array.shape, strict=True)
    values: NDArray[np.float32] = array[tuple(np.clip(np.floor(x + 0.5).astype(np.intp), 0, n - 1) for x, n in places)]
    return values


def _trilinear(array: NDArray[np.float32], coordinates: NDArray[np.float64]) -> NDArray[np.float32]:
    corners, fractions = zip(*map(_cell, coordinates, array.shape), strict=True)
    _, height, width = array.shape
    first = (corners[0] * height + corners[1]) * width + corners[2]
    # An axis of one voxel has no second one to go to.
    strides = [stride * (size > 1) for stride, size in zip((height * width, width, 1), array.shape, strict=True)]
    values = array.reshape(-1)

    def along_columns(offset: int) -> NDArray[np.float32]:
        return _lerp(values[offset:].take(first), values[offset + strides[2] :].take(first), fractions[2])

    def along_rows(offset: int) -> NDArray[np.float32]:
        return _lerp(along_columns(offset), along_columns(offset + strides[1]), fractions[1])

    return _lerp(along_rows(0), along_rows(strides[0]), fractions[0])


def _cell(coordinate: NDArray[np.float64], size: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The voxel before the place, such that there is one behind it too, and how far the place lies between the two."""
    inside = np.clip(coordinate, 0, size - 1)
    corner = np.minimum(inside.astype(np.intp), max(size - 2, 0))
    return corner, (inside - corner).astype(np.float32)


def _lerp(
    before: NDArray[np.float32], behind: NDArray[np.float32], fraction: NDArray[np.float32]
) -> NDArray[np.float32]:
    """In the memory of *behind*."""
    behind -= before
    behind *= fraction
    behind += before
    return behind


def _cubic(coefficients: NDArray[np.float32], coordinates: NDArray[np.float64]) -> NDArray[np.float32]:
    places = coordinates + SPLINE_MARGIN
    values: NDArray[np.float32] = scipy.ndimage.map_coordinates(
        coefficients, places, output=np.float32, order=3, mode="nearest", prefilter=False
    )
    return values
