"""The same patient as other scanners and protocols would have framed them.

The encoder's input keeps neither pixel spacing nor Hounsfield units, so the framing and the value outside the
reconstruction circle change every token. With a handful of patients the heads have to be shown that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from operators.domain.volume import Volume
from trainer.features.scans import Scan

AIR_HU = -1000.0
PADDING_HU = -2000.0
"""What several makers write outside the reconstruction circle."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How an image is cut out of what was scanned.

    zoom : share of the field of view that is kept; above 1 air is added
    circle : whether the corners outside the inscribed circle hold padding
    """

    zoom: float
    circle: bool


FRAMINGS = (Framing(0.85, False), Framing(1.2, False), Framing(1.0, True), Framing(0.85, True), Framing(1.15, True))


def other_framings(scan: Scan) -> Iterator[Scan]:
    """Other framings of a CT scan; its values must be HU."""
    for framing in FRAMINGS:
        yield reframe(scan, framing)


def reframe(scan: Scan, framing: Framing) -> Scan:
    volume = _zoomed(scan.volume, framing.zoom, fill=AIR_HU)
    if framing.circle:
        volume = _with_padding(volume)
    organs = None if scan.organs is None else _zoomed(scan.organs, framing.zoom, fill=0)
    return replace(scan, volume=volume, organs=organs, mass=None)


def _zoomed(volume: Volume, zoom: float, *, fill: float) -> Volume:
    """Rows and columns cut off or added on all sides alike."""
    depth, height, width = volume.array.shape
    rows, columns = (round((zoom - 1.0) / 2.0 * size) for size in (height, width))
    margins = (0, max(rows, 0), max(columns, 0))
    cut_rows, cut_columns = max(-rows, 0), max(-columns, 0)
    grown = volume.grown(margins, margins, fill=fill)
    _, grown_height, grown_width = grown.geometry.shape
    return grown.cropped((0, cut_rows, cut_columns), (depth, grown_height - cut_rows, grown_width - cut_columns))


def _with_padding(volume: Volume) -> Volume:
    _, height, width = volume.array.shape
    row, column = np.ogrid[-1.0 : 1.0 : height * 1j, -1.0 : 1.0 : width * 1j]
    inside = row**2 + column**2 <= 1.0
    return Volume(np.where(inside, volume.array, np.float32(PADDING_HU)), volume.geometry)
