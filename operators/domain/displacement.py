"""A deformation as a displacement at every voxel of a grid."""

from dataclasses import dataclass
from typing import Any

from operators.domain.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class DisplacementField:
    """Where the patient's tissue at a place of the fixed frame lies in the moving volume: at the place plus this.

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
