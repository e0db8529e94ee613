"""Where a slice shows something, told from its intensities alone; the ground for crops and masks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.pretraining.data.samples import SliceSample

CT_AIR_HU = -900.0
"""Above it lies even aerated lung; air with its noise and the padding around the reconstruction lie below."""

DARK = 0.1
"""Share of the way from the slice's darkest to its brightest values, where they have no scale of their own."""

PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The content's first and second moments, in pixels along rows and columns; pixel (0, 0) has its centre at 0.5.

    centre : row, column
    spread : standard deviation along each
    """

    centre: tuple[float, float]
    spread: tuple[float, float]


class Content:
    """A slice's content: its share in any box at the cost of four look-ups.

    mask : (H, W), True where there is content
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.shape: tuple[int, int] = (mask.shape[0], mask.shape[1])
        # Along the rows first: the other order strides through memory, and one thread plans all crops.
        self._sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
        np.cumsum(np.cumsum(mask, axis=1, dtype=np.int32), axis=0, out=self._sums[1:, 1:])

    def share(self, top: int, left: int, height: int, width: int) -> float:
        """Share of the box's pixels that are content, in 0 .. 1."""
        bottom, right = top + height, left + width
        sums = self._sums
        inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return float(inside) / (height * width)

    @property
    def anatomy(self) -> Anatomy:
        """The box of what is content, or of the whole slice where nothing is."""
        rows, columns = np.diff(self._sums[:, -1]), np.diff(self._sums[-1])
        (row, row_spread), (column, column_spread) = _moments(rows), _moments(columns)
        return Anatomy((row, column), (row_spread, column_spread))


def find_content(sample: SliceSample) -> Content:
    """HU: above air. All others: above a tenth of the slice's own range."""
    if sample.values == "HU":
        return Content(sample.pixels > CT_AIR_HU)
    # Every fourth row and column tell percentiles as well as all do.
    dark, bright = np.percentile(sample.pixels[::4, ::4], PERCENTILES)
    return Content(sample.pixels > dark + DARK * (bright - dark))


def _moments(counts: NDArray[np.int32]) -> tuple[float, float]:
    """Mean and standard deviation of the pixels' places, *counts* of them at each."""
    if not counts.any():
        counts = np.ones_like(counts)
    places = np.arange(len(counts)) + 0.5
    mean = float(np.average(places, weights=counts))
    # A pixel is as wide as a pixel: a single one has the spread of a uniform distribution.
    return mean, float(np.sqrt(np.average((places - mean) ** 2, weights=counts) + 1 / 12))
