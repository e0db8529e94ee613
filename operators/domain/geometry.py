"""Where voxels lie: array indices to patient millimetres.

One convention everywhere: array axes are (slice, row, column), positions are LPS millimetres (DICOM
PS3.3 C.7.6.2.1.1: x to the patient's left, y to posterior, z to the head).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Index = tuple[int, int, int]
"""Along slice, row and column."""


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """A regular grid of voxels in a frame of reference, without the voxels.

    affine : (4, 4) float64
        Takes homogeneous (slice, row, column) indices of voxel centres to LPS mm.
    shape : (D, H, W)
    frame_of_reference_uid : empty when the source names none
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4):
            raise ValueError(f"affine: expected shape (4, 4), got {self.affine.shape}")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape: expected three positive sizes, got {self.shape}")
        if abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise ValueError("affine: singular, two index axes point the same way or a spacing is zero")

    @property
    def spacing(self) -> NDArray[np.float64]:
        """(3,) mm between voxel centres along slice, row and column."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), np.float64)

    @property
    def directions(self) -> NDArray[np.float64]:
        """(3, 3) unit vectors in LPS; column k is the way index axis k points."""
        return self.affine[:3, :3] / self.spacing

    @property
    def voxel_volume_ml(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def positions(self, indices: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """(..., 3) indices to (..., 3) LPS mm."""
        return np.asarray(indices, np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def indices(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., 3) LPS mm to (..., 3) fractional indices."""
        inverse = np.asarray(np.linalg.inv(self.affine), np.float64)
        return np.asarray(positions, np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def index_transform_to(self, target: Self) -> NDArray[np.float64]:
        """(4, 4) matrix that takes *target*'s indices to this grid's, as a resampler wants it.

        The two must share a frame of reference; grids without one are trusted to.
        """
        if (
            self.frame_of_reference_uid
            and target.frame_of_reference_uid
            and self.frame_of_reference_uid != target.frame_of_reference_uid
        ):
            raise ValueError("frame of reference: the two grids differ, register them first")
        return np.asarray(np.linalg.inv(self.affine) @ target.affine, np.float64)

    def permuted(self, axes: tuple[int, int, int]) -> Self:
        """The same voxels with the index axes in another order, as ``numpy.transpose`` would."""
        affine = self.affine.copy()
        affine[:, :3] = self.affine[:, list(axes)]
        shape = (self.shape[axes[0]], self.shape[axes[1]], self.shape[axes[2]])
        return type(self)(affine, shape, self.frame_of_reference_uid)

    def flipped(self, axis: int) -> Self:
        """The same voxels with one index axis reversed."""
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, axis] * (self.shape[axis] - 1)
        affine[:3, axis] *= -1
        return type(self)(affine, self.shape, self.frame_of_reference_uid)

    def cropped(self, start: Index, stop: Index) -> Self:
        """The voxels from index *start* up to, not including, *stop* along each axis."""
        if any(not 0 <= a < b <= size for a, b, size in zip(start, stop, self.shape, strict=True)):
            raise ValueError(f"crop: expected indices inside the shape {self.shape}, got {start} to {stop}")
        return self.sampled(start, (1, 1, 1), (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2]))

    def grown(self, before: Index, after: Index) -> Self:
        """The grid with so many voxels more at the beginning and at the end of each axis."""
        if min(*before, *after) < 0:
            raise ValueError(f"margins: expected numbers of voxels to add, got {before} and {after}")
        sizes = [a + size + b for a, size, b in zip(before, self.shape, after, strict=True)]
        return self.sampled([-a for a in before], (1, 1, 1), (sizes[0], sizes[1], sizes[2]))

    def strided(self, steps: Index) -> Self:
        """Every n-th voxel along each axis, from the first."""
        if min(steps) < 1:
            raise ValueError(f"steps: expected positive numbers, got {steps}")
        sizes = [-(-size // step) for size, step in zip(self.shape, steps, strict=True)]
        return self.sampled((0, 0, 0), steps, (sizes[0], sizes[1], sizes[2]))

    def rescaled(self, shape: Index) -> Self:
        """The same block of space cut into another number of voxels (pixel edges kept, not centres)."""
        factors = np.array(self.shape, np.float64) / np.array(shape, np.float64)
        return self.sampled((factors - 1.0) / 2.0, factors, shape)

    def sampled(self, first: ArrayLike, steps: ArrayLike, shape: Index) -> Self:
        """A grid along the same axes.

        first : (3,) index of its first voxel, which need not be whole or inside
        steps : (3,) of so many of these voxels each of its own is long
        """
        affine = self.affine.copy()
        affine[:3, :3] *= np.asarray(steps, np.float64)
        affine[:3, 3] = self.positions(np.asarray(first))
        return type(self)(affine, shape, self.frame_of_reference_uid)
