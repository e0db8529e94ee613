"""What models of pictures are given of a CT or MR slice: three channels, a window, their own mean and deviation."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from operators.domain.volume import Volume
from trainer.features.slice_models import Values

SOFT_TISSUE_HU = (-160.0, 240.0)
"""The window of width 400 around 40 HU by which a radiologist reads a body."""

SCANNER_PERCENTILES = (1.0, 99.0)
"""Percentiles of each slice that become black and white, where a scanner's units have no meaning of their own."""


@dataclass(frozen=True, slots=True)
class PictureInput:
    """A model's input contract.

    size : pixels along both sides
    mean, deviation : of its three channels, of values 0 to 1
    """

    size: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def prepare(self, volume: Volume, values: Values) -> Tensor:
        """(S, 3, size, size) float32 of a volume as it is shown: rows to posterior, columns to the left for axial
        slices; resized bilinearly with antialiasing, the aspect ratio given up as in Curia's own input.
        """
        slices = np.stack([_to_unit(plane, values) for plane in volume.array.astype(np.float32)])
        resized = functional.interpolate(
            torch.from_numpy(slices)[:, None], (self.size, self.size), mode="bilinear", antialias=True
        )
        mean, deviation = (torch.tensor(part).view(1, 3, 1, 1) for part in (self.mean, self.deviation))
        return (resized.expand(-1, 3, -1, -1) - mean) / deviation


def _to_unit(
    plane: np.ndarray[tuple[int, ...], np.dtype[np.float32]], values: Values
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    if values == "8-bit":
        return plane / np.float32(255.0)
    low, high = SOFT_TISSUE_HU if values == "hu" else np.percentile(plane, SCANNER_PERCENTILES)
    return np.asarray(np.clip((plane - low) / max(high - low, 1e-6), 0.0, 1.0), np.float32)
