"""A volume pulled through a displacement field."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.domain.geometry import Geometry
from operators.domain.transform import DisplacementField
from operators.domain.volume import Volume
from operators.imaging import kernels
from operators.imaging.array_module import CPU, array_module_of
from operators.imaging.resampling import INTERPOLATION_ORDERS, grid_coordinates, resample
from operators.imaging.sampling import sample_slices


def warp(volume: Volume, field: DisplacementField, target: Geometry, *, order: int) -> Volume:
    """Values of the moving *volume* at x + u(x) for each voxel centre x of *target*, u being the *field*.

    The field alone joins the two frames of reference: *target* lies in the field's, *volume* in its own. Beyond the
    moving volume the nearest edge value is taken. On the CPU the field is brought to the target's grid first, which
    takes three times its memory.

    order : 0 nearest, 1 trilinear, 3 cubic spline
    """
    if order not in INTERPOLATION_ORDERS:
        raise ValueError(f"order: expected one of {INTERPOLATION_ORDERS}, got {order}")
    to_index = np.asarray(np.linalg.inv(volume.geometry.affine), np.float64)
    to_source, to_field = to_index @ target.affine, field.geometry.index_transform_to(target)
    if array_module_of(volume.array) is CPU:
        shifts = _index_shifts(field, to_index[:3, :3], target)
        coordinates = grid_coordinates(to_source, target.shape)
        array = sample_slices(volume.array, lambda k: coordinates(k) + shifts[:, k], target.shape, order=order)
    else:
        array = kernels.warp(
            volume.array, to_source, field.displacements, to_field, to_index[:3, :3], target.shape, order=order
        )
    return Volume(array, target)


def _index_shifts(field: DisplacementField, to_index: NDArray[np.float64], target: Geometry) -> NDArray[np.float32]:
    """(3, D, H, W) displacements on the target's grid, in voxels of the moving volume."""
    shifts: Any = np.tensordot(to_index.astype(np.float32), field.displacements, axes=1)
    return np.stack([resample(Volume(shift, field.geometry), target, order=1).array for shift in shifts])
