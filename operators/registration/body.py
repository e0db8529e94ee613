"""Grey values on one scale, and where the body is."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.domain.components import largest_component

CT_RANGE_HU = (-1000.0, 1000.0)
CT_SKIN_HU = -400.0
MR_BRIGHT_PERCENTILE = 99.5
MR_BODY_SHARE = 0.12
"""Threshold of the body as a share of the bright percentile: below lies air, even on noisy and unevenly lit images."""


def normalised(array: NDArray[np.float32], modality: str) -> NDArray[np.float32]:
    """(D, H, W) in 0..1: CT by its unit, anything else by its own bright values."""
    low, high = CT_RANGE_HU if modality == "CT" else (0.0, float(np.percentile(array, MR_BRIGHT_PERCENTILE)))
    scaled = (np.clip(array, low, high) - low) / max(high - low, 1e-6)
    return np.asarray(scaled, np.float32)


def body_mask(image: NDArray[np.float32], modality: str) -> NDArray[np.bool_]:
    """(D, H, W) the largest connected part of a normalised image that is not air, its holes filled slice by slice."""
    low, high = CT_RANGE_HU
    threshold = (CT_SKIN_HU - low) / (high - low) if modality == "CT" else MR_BODY_SHARE
    smooth = ndimage.gaussian_filter(image, [1.0 if size > 4 else 0.0 for size in image.shape])
    mask = ndimage.binary_opening(smooth > threshold, _ball(image.shape), iterations=2)
    if not mask.any():
        return np.ones(image.shape, np.bool_)
    filled = np.stack([ndimage.binary_fill_holes(part) for part in largest_component(mask)])
    return np.asarray(filled, np.bool_)


def _ball(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The six neighbours, none along an axis with few voxels."""
    cross = ndimage.generate_binary_structure(3, 1)
    for axis, size in enumerate(shape):
        if size <= 4:
            cross[tuple([0, 2] if k == axis else slice(None) for k in range(3))] = False
    return np.asarray(cross, np.bool_)
