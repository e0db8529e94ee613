"""From one grid to another."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.array_module import array_module_of

CUBIC_COEFFICIENT = -0.5
"""Keys' cubic (1981) with a = -1/2, the kernel of Pillow's and torch's antialiased bicubic resize."""


def resample(volume: Volume, target: Geometry, *, order: int) -> Volume:
    """Values of *volume* at the voxel centres of *target*; outside the source the nearest edge value is taken.

    order : 0 nearest, 1 trilinear, 3 cubic spline
    """
    module = array_module_of(volume.array)
    transform = volume.geometry.index_transform_to(target)
    array = module.ndimage.affine_transform(
        volume.array.astype(np.float32, copy=False),
        module.xp.asarray(transform[:3, :3]),
        offset=transform[:3, 3] if module.device == "cpu" else module.xp.asarray(transform[:3, 3]),
        output_shape=target.shape,
        order=order,
        mode="nearest",
        prefilter=order > 1,
    )
    return Volume(array, target)


def resize_slices(array: Any, size: int) -> Any:
    """(S, H, W) to (S, size, size) float32: bicubic, antialiased, pixel edges aligned, aspect ratio not kept.

    Equal to ``torch.nn.functional.interpolate(mode="bicubic", antialias=True, align_corners=False)``, which is what
    the published image processor calls, up to the order of summation.
    """
    array = array.astype(np.float32, copy=False)
    if array.shape[1:] == (size, size):
        return array  # at scale 1 the kernel is a unit impulse
    xp = array_module_of(array).xp
    rows = xp.asarray(_resize_weights(array.shape[1], size))
    columns = xp.asarray(_resize_weights(array.shape[2], size))
    return xp.matmul(xp.matmul(rows, array), columns.T)


@lru_cache(maxsize=16)
def _resize_weights(source: int, target: int) -> NDArray[np.float32]:
    """(target, source) weights of one axis.

    Shrinking widens the kernel by the scale (antialiasing); every row sums to one, so edges lose no mass.
    """
    scale = source / target
    stretch = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distances = (np.arange(source) + 0.5 - centres[:, None]) / stretch
    weights = _cubic(distances)
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    a, x = CUBIC_COEFFICIENT, np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
