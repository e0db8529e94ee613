"""Small rigid and affine motions about a centre, as matrices."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]


def generators(axes: Matrix, radius_mm: float, *, flat: bool, affine: bool) -> Matrix:
    """(K, 4, 4): what each of K parameters adds to a point near the centre; all of them move the rim by about one mm.

    axes : (3, 3) unit vectors, column k along the image's axis k
    radius_mm : of what is moved
    flat : a single slice moves within its plane only
    affine : rotations and translations alone, or scalings and shears too
    """
    plane = (1, 2) if flat else (0, 1, 2)
    made = []
    for k in plane:
        shift = np.zeros((4, 4))
        shift[:3, 3] = axes[:, k]
        made.append(shift)
    for i, k in enumerate(plane):
        for j in plane[i + 1 :]:
            made.append(_linear(np.outer(axes[:, k], axes[:, j]) - np.outer(axes[:, j], axes[:, k])) / radius_mm)
            if affine:
                made.append(_linear(np.outer(axes[:, k], axes[:, j]) + np.outer(axes[:, j], axes[:, k])) / radius_mm)
        if affine:
            made.append(_linear(np.outer(axes[:, k], axes[:, k])) / radius_mm)
    return np.stack(made)


def about(centre: NDArray[np.float64], motions: Tensor) -> Tensor:
    """(..., 4, 4) motions about the origin moved to be about *centre*."""
    there, back = np.eye(4), np.eye(4)
    there[:3, 3], back[:3, 3] = centre, -centre
    return torch.from_numpy(there).to(motions) @ motions @ torch.from_numpy(back).to(motions)


def nearest_rotation(matrix: Matrix) -> Matrix:
    """The rigid (4, 4) matrix next to one that rounding has made slightly less so."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    rigid = np.eye(4)
    rigid[:3, :3] = left @ right
    rigid[:3, 3] = matrix[:3, 3]
    return rigid


def _linear(block: Matrix) -> Matrix:
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = block
    return matrix
