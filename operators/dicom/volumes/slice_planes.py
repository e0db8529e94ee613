"""Where the pixels of one slice lie, by its own header."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.domain.geometry import Geometry


def slice_plane(header: Dataset, frame_of_reference_uid: str) -> Geometry:
    """The pixels of a slice as a (1, rows, columns) grid, 1 mm deep, in the slice's own plane (PS3.3 C.7.6.2.1.1).

    header : of a slice that a stack was made of, so that everything that tells its place is there
    """
    row, column = orthonormal(np.array(header.ImageOrientationPatient, np.float64))
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column)
    affine[:3, 1] = column * float(header.PixelSpacing[0])
    affine[:3, 2] = row * float(header.PixelSpacing[1])
    affine[:3, 3] = np.array(header.ImagePositionPatient, np.float64)
    return Geometry(affine, (1, int(header.Rows), int(header.Columns)), frame_of_reference_uid)


def orthonormal(cosines: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The row and column direction cosines as unit vectors at right angles; written digits leave them a little off."""
    row, column = cosines.reshape(2, 3)
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    return row, column / np.linalg.norm(column)
