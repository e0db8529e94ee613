"""Where the patient's tissue at a place of the fixed frame lies in the moving one."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.domain.geometry import Geometry

ORTHONORMAL = 1e-6
"""How far a rotation's matrix times its transpose may lie off the identity."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """One matrix for all places.

    matrix : (4, 4) float64, homogeneous LPS mm of the fixed frame to those of the moving frame
    """

    matrix: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.matrix.shape != (4, 4) or not np.array_equal(self.matrix[3], (0, 0, 0, 1)):
            raise ValueError(f"matrix: expected (4, 4) with last row 0 0 0 1, got {self.matrix.tolist()}")
        if np.linalg.det(self.matrix[:3, :3]) <= 0:
            raise ValueError("matrix: mirrors or flattens space")

    def moving_positions(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., 3) LPS mm of the fixed frame to (..., 3) of the moving frame."""
        return np.asarray(positions, np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def inverse(self) -> Self:
        inverted = np.asarray(np.linalg.inv(self.matrix), np.float64)
        inverted[3] = (0, 0, 0, 1)
        return type(self)(inverted)


class Rigid(Affine):
    """A rotation and a translation."""

    __slots__ = ()

    def __post_init__(self) -> None:
        Affine.__post_init__(self)
        rotation = self.matrix[:3, :3]
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > ORTHONORMAL:
            raise ValueError("matrix: not a rotation; an Affine may scale and shear")


@dataclass(frozen=True, slots=True, eq=False)
class DisplacementField:
    """A displacement at every point of a grid: tissue at a place of the fixed frame lies at the place plus this.

    displacements : (3, D, H, W) float32, LPS mm, NumPy or CuPy
    geometry : the grid, in the fixed frame of reference; between its voxels the field is trilinear, beyond its border
        it goes on with the edge's value
    """

    displacements: Any
    geometry: Geometry

    def __post_init__(self) -> None:
        if tuple(self.displacements.shape) != (3, *self.geometry.shape):
            raise ValueError(
                f"displacements: expected shape {(3, *self.geometry.shape)}, got {tuple(self.displacements.shape)}"
            )

    def moving_positions(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., 3) LPS mm of the fixed frame to (..., 3) of the moving frame; on NumPy."""
        start = np.asarray(positions, np.float64)
        places = self.geometry.indices(start).reshape(-1, 3).T
        moves = [
            ndimage.map_coordinates(along, places, output=np.float64, order=1, mode="nearest")
            for along in self.displacements
        ]
        return np.asarray(start + np.stack(moves, axis=-1).reshape(start.shape))
