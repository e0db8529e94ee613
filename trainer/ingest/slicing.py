"""A volume to the slices that pre-training reads: the encoder's orientation, int16."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from operators.errors import UnsupportedPixelDataError
from operators.imaging.encoder_input import orient_for_encoder
from trainer.ingest.found_volumes import FoundVolume
from trainer.pretraining.data.samples import SliceSample

_PLANES: tuple[Literal["sagittal", "coronal", "axial"], ...] = ("sagittal", "coronal", "axial")
"""Names of the planes by the LPS component that the slice axis is nearest to."""

MIN_STEPS = 16
"""Values that a volume must span once it is rounded: diffusion maps in mm2/s would come out black."""


def slices_of_volume(found: FoundVolume) -> Iterator[SliceSample]:
    """Every slice that is not one value all over.

    Raises
    ------
    UnsupportedPixelDataError
        When a value does not fit int16, or rounding to whole numbers leaves hardly anything.
    """
    oriented = orient_for_encoder(found.volume)
    low, high = float(oriented.array.min()), float(oriented.array.max())
    limits = np.iinfo(np.int16)
    if not (limits.min <= low and high <= limits.max):
        raise UnsupportedPixelDataError(f"volume: expected values in int16's range, got {low:g} to {high:g}")
    if high - low < MIN_STEPS:
        raise UnsupportedPixelDataError(f"volume: expected a range of {MIN_STEPS} whole numbers, got {high - low:g}")
    plane = _PLANES[int(np.argmax(np.abs(oriented.geometry.directions[:, 0])))]
    _, row_spacing, column_spacing = (float(spacing) for spacing in oriented.geometry.spacing)
    for number, values in enumerate(oriented.array):
        pixels = np.rint(values).astype(np.int16)
        if pixels.min() < pixels.max():
            yield SliceSample(
                pixels=pixels,
                spacing_mm=(row_spacing, column_spacing),
                modality=found.modality,
                values=found.values,
                plane=plane,
                region=found.region,
                patient=found.patient,
                key=f"{found.study}-{found.key}-{number:05d}",
            )
