"""Voxels as NIfTI and MONAI count them, (column, row, slice) in a world that runs to right, anterior and superior."""

from typing import Any

import numpy as np

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume


def volume_of_ras(voxels: Any, ras: Any) -> Volume:
    """(X, Y, Z) with its (4, 4) affine to a volume of axes (slice, row, column) in LPS millimetres."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(ras, np.float64)[:, [2, 1, 0, 3]]
    array = voxels.transpose(2, 1, 0)
    depth, height, width = array.shape
    return Volume(array, Geometry(affine, (depth, height, width)))
