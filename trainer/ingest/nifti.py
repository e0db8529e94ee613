"""NIfTI files as volumes: LPS millimetres, axes (slice, row, column)."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from operators.domain.volume import Volume
from trainer.features.ras_volume import volume_of_ras


def read_nifti(path: Path) -> Volume:
    """A three-dimensional file's voxels as they are stored.

    Raises
    ------
    ValueError
        When the file is damaged or no NIfTI, or has another number of dimensions.
    """
    try:
        image = nibabel.load(path)
        voxels = np.asarray(image.dataobj)
    except FileNotFoundError:
        raise
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: expected a NIfTI file, could not read it: {error}") from error
    if voxels.ndim != 3:
        raise ValueError(f"{path}: expected three dimensions, got {voxels.ndim}")
    return volume_of_ras(voxels, image.affine)


def read_nifti_series(path: Path) -> Iterator[Volume]:
    """Every volume of a three- or four-dimensional file, float32, one at a time.

    Raises
    ------
    ValueError
        When it has another number of dimensions.
    """
    image = nibabel.load(path)
    if len(image.shape) not in (3, 4):
        raise ValueError(f"NIfTI: expected three or four dimensions, got {len(image.shape)}")
    if len(image.shape) == 3:
        yield volume_of_ras(np.asarray(image.dataobj, np.float32), image.affine)
        return
    for time in range(image.shape[3]):
        yield volume_of_ras(np.asarray(image.dataobj[..., time], np.float32), image.affine)
