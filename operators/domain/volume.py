"""Voxels with their place in the patient."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from operators.domain.geometry import Geometry, Index

AIR_HU = -1000.0
"""By definition of the unit (PS3.3 C.11.1.1.2)."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """An array on a grid.

    array : (D, H, W), NumPy or CuPy
        HU for CT, scanner units for MR.
    geometry : the grid, of the same shape
    """

    array: Any
    geometry: Geometry

    def __post_init__(self) -> None:
        if tuple(self.array.shape) != self.geometry.shape:
            raise ValueError(
                f"array: expected the geometry's shape {self.geometry.shape}, got {tuple(self.array.shape)}"
            )

    def permuted(self, axes: tuple[int, int, int]) -> Self:
        return type(self)(self.array.transpose(axes), self.geometry.permuted(axes))

    def flipped(self, axis: int) -> Self:
        selection = tuple(slice(None, None, -1) if k == axis else slice(None) for k in range(3))
        return type(self)(self.array[selection], self.geometry.flipped(axis))

    def cropped(self, start: Index, stop: Index) -> Self:
        """The voxels from index *start* up to, not including, *stop*; a view of the same memory."""
        place = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        return type(self)(self.array[place], self.geometry.cropped(start, stop))

    def strided(self, steps: Index) -> Self:
        """Every n-th voxel along each axis, from the first; a view of the same memory."""
        place = tuple(slice(None, None, step) for step in steps)
        return type(self)(self.array[place], self.geometry.strided(steps))

    def grown(self, before: Index, after: Index, *, fill: float) -> Self:
        """The volume with so many voxels of the value *fill* more around it."""
        margins = tuple(zip(before, after, strict=True))
        return type(self)(np.pad(self.array, margins, constant_values=fill), self.geometry.grown(before, after))

    def astype(self, dtype: np.dtype[Any] | type) -> Self:
        return type(self)(self.array.astype(dtype, copy=False), self.geometry)
