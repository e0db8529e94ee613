"""From masks on a scan's grid to targets on the grid of tokens, and masks that a plain rule gives."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.resampling import resample

LUNG_BELOW_HU = -400.0
"""Air and lung lie under it, everything else of the body above."""

BONE_ABOVE_HU = 180.0
"""Cortical bone lies above it, unenhanced soft tissue below."""

SMALLEST_LUNG_MM2 = 500.0
SMALLEST_BONE_MM2 = 20.0
"""Smaller areas in a slice are trachea, vessels, calcification and noise."""


def cell_labels(labels: Volume, tokens: Geometry, subdivision: int) -> NDArray[np.uint8]:
    """(S, N, subdivision ** 2): the label at the centre of each cell of each token, row by row.

    tokens : grid of the token centres
    """
    slices, rows, columns = tokens.shape
    grid = tokens.rescaled((slices, rows * subdivision, columns * subdivision))
    sampled = resample(labels.astype(np.float32), grid, order=0).array.astype(np.uint8)
    cells = sampled.reshape(slices, rows, subdivision, columns, subdivision).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(cells.reshape(slices, rows * columns, subdivision**2))


def token_fraction(mask: Volume, tokens: Geometry) -> NDArray[np.float32]:
    """(S, N): which part of each token the mask covers, from 16 samples."""
    return np.asarray(cell_labels(mask, tokens, 4).mean(axis=2), np.float32)


def lung_and_bone_by_rule(volume: Volume) -> Volume:
    """(D, H, W) uint8 for a chest CT without contrast medium: 1 lung, 3 bone, by HU inside the body alone."""
    area = float(volume.geometry.spacing[1] * volume.geometry.spacing[2])
    labels = np.zeros(volume.array.shape, np.uint8)
    for k, image in enumerate(volume.array):
        body = _largest(ndimage.binary_fill_holes(ndimage.binary_opening(image > LUNG_BELOW_HU, iterations=2)))
        lung = _without_small(body & (image < LUNG_BELOW_HU), SMALLEST_LUNG_MM2 / area)
        bone = ndimage.binary_fill_holes(ndimage.binary_closing(body & (image > BONE_ABOVE_HU), iterations=2))
        labels[k][_without_small(bone, SMALLEST_BONE_MM2 / area)] = 3
        labels[k][ndimage.binary_closing(lung, iterations=2) & (labels[k] == 0)] = 1
    return Volume(labels, volume.geometry)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.asarray(components == sizes.argmax())


def _without_small(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_]:
    components, _ = ndimage.label(mask)
    keep = np.bincount(components.ravel()) >= smallest
    keep[0] = False
    return np.asarray(keep[components])
