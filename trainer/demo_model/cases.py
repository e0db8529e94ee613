"""A picture of what the heads outline in people whom nobody saw: the best and the worst of each head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

SHOWN_WINDOW = (1.0, 99.5)
"""Percentiles of a slice that are black and white."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One slice.

    title : head, and how well it did with this person
    image : (H, W)
    true, found : (H, W) bool
    spacing_mm : between rows, between columns
    """

    title: str
    image: NDArray[np.float32]
    true: NDArray[np.bool_]
    found: NDArray[np.bool_]
    spacing_mm: tuple[float, float]


def draw_cases(cases: Sequence[Case], path: Path, *, columns: int = 4) -> None:
    """People's outlines in green, the head's in orange."""
    rows = -(-len(cases) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.9 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, case in zip(axes.flat, cases, strict=False):
        low, high = np.percentile(case.image, SHOWN_WINDOW)
        row, column = case.spacing_mm
        axis.imshow(case.image, cmap="gray", vmin=low, vmax=high, aspect=row / column)
        for mask, colour in ((case.true, "#3ddc84"), (case.found, "#ff9f1c")):
            if mask.any() and not mask.all():
                axis.contour(mask.astype(float), levels=[0.5], colors=colour, linewidths=1.2)
        axis.set_title(case.title, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
