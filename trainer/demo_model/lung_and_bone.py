"""Masks of lung and bone that a plain rule gives."""

import numpy as np
from scipy import ndimage

from operators.domain.components import largest_component, without_small_components
from operators.domain.volume import Volume

LUNG_BELOW_HU = -400.0
"""Air and lung lie under it, everything else of the body above."""

BONE_ABOVE_HU = 180.0
"""Cortical bone lies above it, unenhanced soft tissue below."""

LUNG, BONE = 1, 2
"""Numbers of the masks, as in `trainer.demo_model.open_data.ORGANS`."""

SMALLEST_LUNG_MM2 = 500.0
SMALLEST_BONE_MM2 = 20.0
"""Smaller areas in a slice are trachea, vessels, calcification and noise."""


def lung_and_bone_by_rule(volume: Volume) -> Volume:
    """(D, H, W) uint8 for a chest CT without contrast medium: `LUNG` and `BONE`, by HU inside the body alone."""
    area = float(volume.geometry.spacing[1] * volume.geometry.spacing[2])
    labels = np.zeros(volume.array.shape, np.uint8)
    for k, image in enumerate(volume.array):
        body = largest_component(ndimage.binary_fill_holes(ndimage.binary_opening(image > LUNG_BELOW_HU, iterations=2)))
        lung = without_small_components(body & (image < LUNG_BELOW_HU), SMALLEST_LUNG_MM2 / area)
        bone = ndimage.binary_fill_holes(ndimage.binary_closing(body & (image > BONE_ABOVE_HU), iterations=2))
        labels[k][without_small_components(bone, SMALLEST_BONE_MM2 / area)] = BONE
        labels[k][ndimage.binary_closing(lung, iterations=2) & (labels[k] == 0)] = LUNG
    return Volume(labels, volume.geometry)
