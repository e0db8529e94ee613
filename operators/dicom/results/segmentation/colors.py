"""Display colours that tell neighbouring segments apart, the same ones in every run."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from operators.dicom.results.segmentation.extents import Extent, touching
from operators.domain.concepts import SEGMENTS

NUM_COLORS = 128
CLEARLY_DIFFERENT = 30.0
"""CIE 1976 difference (Euclidean in L*a*b*) from which nobody mixes two colours up; about 2.3 is just visible."""

_USUAL = {
    # by code value of the segmented property type, so that an organ looks the same in every study
    SEGMENTS["lung"][1].value: (70.0, -10.0, -35.0),
    SEGMENTS["liver"][1].value: (45.0, 45.0, 35.0),
    SEGMENTS["bone"][1].value: (88.0, 2.0, 40.0),
    SEGMENTS["soft-tissue mass"][1].value: (60.0, 75.0, -45.0),
}
_MINIMUM_CHROMA = 25.0
"""Greyer colours vanish on the grey image."""
_WHITE_D50 = np.array([0.9642, 1.0, 0.8251])
_XYZ_TO_SRGB = np.array(
    [[3.1341, -1.6173, -0.4906], [-0.9787, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]]
)  # from D50, the white of DICOM's colours (PS3.3 C.10.7.1.1)


def segment_colors(extents: Sequence[Extent], type_codes: Sequence[str]) -> list[tuple[float, float, float]]:
    """L*a*b* of each segment: an organ's usual colour, or else the one that its neighbours' colours are farthest from.

    Neighbours are segments whose bounding boxes touch: all that touch one another, and some that do not. A colour comes
    again only after all others were used.
    """
    neighbours = touching(extents)
    palette = _palette()
    uses = np.zeros(len(palette), int)
    colors = np.full((len(extents), 3), np.nan)
    for number, code in enumerate(type_codes):
        color = np.array(_USUAL.get(code, (np.nan,) * 3))
        if np.isfinite(color).all() and _nearest(color[None], colors[neighbours[number]])[0] >= CLEARLY_DIFFERENT:
            colors[number] = color
    for number in np.flatnonzero(np.isnan(colors[:, 0])).tolist():
        unlike = _nearest(palette, colors[neighbours[number]])
        best = int(np.lexsort((-unlike, uses))[0])
        colors[number] = palette[best]
        uses[best] += 1
    return [tuple(color) for color in colors.tolist()]


def _nearest(candidates: NDArray[np.float64], colors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,): difference of each candidate to the most similar of the colours that are set."""
    chosen = colors[np.isfinite(colors).all(axis=-1)]
    differences = np.linalg.norm(candidates[:, None] - chosen, axis=-1)
    return np.asarray(differences.min(axis=1, initial=np.inf))


@cache
def _palette() -> NDArray[np.float64]:
    """(NUM_COLORS, 3): colours of a screen, each as far as can be from all before it."""
    lightness, a, b = np.meshgrid(np.arange(35, 91, 5), np.arange(-100, 101, 5), np.arange(-110, 101, 5), indexing="ij")
    candidates = np.stack([lightness, a, b], axis=-1).reshape(-1, 3).astype(np.float64)
    candidates = candidates[np.hypot(candidates[:, 1], candidates[:, 2]) >= _MINIMUM_CHROMA]
    candidates = candidates[_on_screen(candidates)]
    unlike = np.linalg.norm(candidates - np.array(list(_USUAL.values()))[:, None], axis=-1).min(axis=0)
    chosen = []
    for _ in range(NUM_COLORS):
        best = candidates[np.argmax(unlike)]
        unlike = np.minimum(unlike, np.linalg.norm(candidates - best, axis=-1))
        chosen.append(best)
    return np.array(chosen)


def _on_screen(lab: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether sRGB can show the colour (CIE 15: L*a*b* to XYZ)."""
    y = (lab[:, 0] + 16.0) / 116.0
    roots = np.stack([y + lab[:, 1] / 500.0, y, y - lab[:, 2] / 200.0], axis=-1)
    xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * _WHITE_D50
    rgb = xyz @ _XYZ_TO_SRGB.T
    return np.asarray(((rgb >= 0.0) & (rgb <= 1.0)).all(axis=-1))
