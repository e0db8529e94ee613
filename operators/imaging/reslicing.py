"""A volume cut along other planes."""

import numpy as np
from numpy.typing import NDArray

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.resampling import resample


def reslice(
    volume: Volume, directions: NDArray[np.float64], spacing: tuple[float, float, float], *, order: int
) -> Volume:
    """The volume cut into slices, rows and columns along *directions*, in a box that holds all of it.

    directions : (3, 3) orthonormal, LPS; column k is the way index axis k points
    spacing : mm along slice, row and column
    order : 0 nearest, 1 trilinear, 3 cubic spline; outside the volume the nearest edge value is taken
    """
    return resample(volume, enclosing_grid(volume.geometry, directions, spacing), order=order)


def enclosing_grid(source: Geometry, directions: NDArray[np.float64], spacing: tuple[float, float, float]) -> Geometry:
    """The smallest grid of these directions and this spacing whose voxel centres span those of *source*.

    Raises
    ------
    ValueError
        When the directions are not orthonormal or a spacing is not positive.
    """
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-5):
        raise ValueError(f"directions: expected three orthonormal columns, got {directions.tolist()}")
    if min(spacing) <= 0:
        raise ValueError(f"spacing: expected millimetres above 0, got {spacing}")
    corners = source.positions(np.argwhere(np.ones((2, 2, 2))) * (np.array(source.shape) - 1))
    along = corners @ directions / spacing
    first, last = along.min(axis=0), along.max(axis=0)
    # A hair less, so that rounding does not add a slice.
    depth, height, width = np.ceil(last - first - 1e-6).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = affine[:3, :3] @ first
    return Geometry(affine, (int(depth), int(height), int(width)), source.frame_of_reference_uid)
