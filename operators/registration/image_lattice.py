"""An image at one resolution, and what another one shows on its lattice under a pose."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.domain.geometry import Geometry
from operators.registration.lattice import identity_places, inside, sample

Matrix = NDArray[np.float64]
Describe = Callable[[Tensor, Tensor], Tensor]
"""(1, D, H, W) image and (C, D, H, W) maps to features."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageLattice:
    """One image at one resolution.

    image : (1, D, H, W) in 0..1
    maps : (C, D, H, W) features that turn with the image, C may be 0
    body : (1, D, H, W) in 0..1
    valid : (1, D, H, W) in 0..1, where the image and all that its features look at are known
    geometry : isotropic
    """

    image: Tensor
    maps: Tensor
    body: Tensor
    valid: Tensor
    geometry: Geometry


def places_under(pose: Matrix, fixed: Geometry, moving: Geometry, places: Tensor) -> Tensor:
    """(3, ...) indices on the fixed lattice to indices on the moving one.

    pose : (4, 4), fixed to moving LPS mm
    """
    matrix = torch.from_numpy(np.linalg.inv(moving.affine) @ pose @ fixed.affine).to(places)
    moved: Tensor = torch.tensordot(matrix[:3, :3], places, dims=1)
    return moved + matrix[:3, 3].reshape(3, *[1] * (places.dim() - 1))


def seen_from(fixed: ImageLattice, moving: ImageLattice, pose: Matrix) -> ImageLattice:
    """The moving image on the fixed lattice under a pose."""
    here = identity_places(fixed.geometry.shape, fixed.image.device)
    places = places_under(pose, fixed.geometry, moving.geometry, here)
    maps = sample(moving.maps, places) if len(moving.maps) else moving.maps.new_zeros(0, *fixed.geometry.shape)
    valid = sample(moving.valid, places) * inside(places, moving.geometry.shape)
    return ImageLattice(sample(moving.image, places), maps, sample(moving.body, places), valid, fixed.geometry)


def patient_pose(fixed: Geometry, moving: Geometry) -> Matrix:
    """The pose that the patient frame gives; a single slice is laid on the other one, middle on middle."""
    matrix = np.eye(4)
    if fixed.shape[0] == 1:
        matrix[:3, :3] = moving.directions @ fixed.directions.T
        middles = [grid.positions((np.array(grid.shape) - 1) / 2) for grid in (fixed, moving)]
        matrix[:3, 3] = middles[1] - matrix[:3, :3] @ middles[0]
    return matrix
