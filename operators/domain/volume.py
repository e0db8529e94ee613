"""Voxels with their place in the patient."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from operators.domain.geometry import Geometry

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

    def astype(self, dtype: np.dtype[Any] | type) -> Self:
        return type(self)(self.array.astype(dtype, copy=False), self.geometry)
