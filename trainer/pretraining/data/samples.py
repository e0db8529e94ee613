"""One slice, as the shards hold it and the crops take it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operators.domain.value_meaning import ValueMeaning


@dataclass(frozen=True, slots=True, eq=False)
class SliceSample:
    """A slice in the encoder's orientation (axial P,L; coronal I,L; sagittal I,P).

    pixels : (H, W) int16
    values : what they mean
    spacing_mm : between rows, between columns
    patient : keyed hash, which tells patients apart and names nobody
    """

    pixels: NDArray[np.int16]
    spacing_mm: tuple[float, float]
    modality: Literal["CT", "MR"]
    values: ValueMeaning
    plane: Literal["axial", "coronal", "sagittal"]
    region: str | None
    patient: str
    key: str
