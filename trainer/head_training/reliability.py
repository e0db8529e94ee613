"""A picture of how far a head's answers can be taken at their word."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainer.evaluation.operating import reliability

Floats = NDArray[np.float64]

MOST_CURVES = 8
"""More labels are drawn together as one."""


def draw_probabilities(probabilities: Floats, present: Floats, names: Sequence[str], path: Path) -> None:
    """Observed share beside the probability that was told; on the diagonal they are the same.

    probabilities, present : (n, C), the truth nan where nobody told
    """
    figure, axes = _square("probability told", "share observed")
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    curves = list(zip(names, probabilities.T, present.T, strict=True))
    if len(curves) > MOST_CURVES:
        curves = [(f"{len(names)} labels together", probabilities.ravel(), present.ravel())]
    for name, told, true in curves:
        known = np.isfinite(true)
        means, shares, counts = reliability(told[known], true[known] == 1)
        axes.plot(means, shares, linewidth=1)
        axes.scatter(means, shares, s=6 + 60 * counts / counts.sum(), label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(fontsize=7, frameon=False)
    figure.savefig(path, metadata={"Software": None})


def draw_values(answers: Floats, true: Floats, unit: str, path: Path) -> None:
    """Answers beside the truth, (n,) each."""
    figure, axes = _square(f"true ({unit})", f"answered ({unit})")
    ends = [float(min(answers.min(), true.min())), float(max(answers.max(), true.max()))]
    axes.plot(ends, ends, color="0.6", linewidth=1)
    axes.scatter(true, answers, s=8)
    figure.savefig(path, metadata={"Software": None})


def draw_overlaps(dices: Floats, path: Path) -> None:
    """Dice of each study, the worst first."""
    figure, axes = _square("studies, by Dice", "Dice")
    ordered = np.sort(dices[np.isfinite(dices)])
    axes.plot(np.arange(1, len(ordered) + 1), ordered, marker="o", linewidth=1)
    axes.set_ylim(0, 1)
    figure.savefig(path, metadata={"Software": None})


def draw_survival(told: Floats, observed: Floats, path: Path, *, days: float) -> None:
    """Draw groups by what was told: the share without the event until a day, told and observed, (G,) each."""
    figure, axes = _square(f"no event until day {days:g}, told", "observed (Kaplan-Meier)")
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    axes.plot(told, observed, marker="o", linewidth=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    figure.savefig(path, metadata={"Software": None})


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes
