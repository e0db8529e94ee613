"""The figure of docs/demo-model.md: the encoder beside random features, and what the heads outline.

python tests/benchmarks/embedded_model_figures.py app/demo_model docs
"""

import argparse
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

WANTED = {"soft-tissue-mass-ct": 0.5, "soft-tissue-mass-mr": 0.5, "brain-mass": 0.6, "left-ventricle": 0.8}
"""Dice."""

IN_UNITS = ("age-from-ct", "lung-nodule-diameter")
"""Years and millimetres have no place on an axis of shares."""

Interval = tuple[float, float, float]
"""A figure and the ends of its 95 % interval."""

_DIFFERENCE = re.compile(r"\| ([\w-]+) \| random \| (\S+) \((\S+) to (\S+)\) \|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("docs", type=Path)
    arguments = parser.parse_args()
    differences = minus_random((arguments.docs / "benchmark.md").read_text())
    heads = head_dice(tomllib.loads((arguments.model / "model.toml").read_text()))
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw(left, {task: one for task, one in differences.items() if task not in IN_UNITS})
    left.axvline(0, color="0.6", linewidth=0.8)
    left.set_title("encoder minus random features: AUC, accuracy, Dice", fontsize=9)
    _draw(right, heads)
    for place, name in enumerate(heads):
        if name in WANTED:
            right.plot([WANTED[name]] * 2, [place - 0.35, place + 0.35], color="C1")
    right.set_title("heads: Dice of strangers; orange: wanted", fontsize=9)
    figure.savefig(arguments.docs / "images/demo-model-figures.png", dpi=110)


def minus_random(page: str) -> dict[str, Interval]:
    """Of each task of docs/benchmark.md what the embedded encoder has more than random features."""
    return {task: (float(a), float(b), float(c)) for task, a, b, c in _DIFFERENCE.findall(page)}


def head_dice(model: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Interval]:
    """Of each head of a model.toml that outlines one thing."""
    found = {name: measured for name, measured in model["measured"].items() if "dice" in measured}
    return {name: (one["dice"], one["dice_95_low"], one["dice_95_high"]) for name, one in found.items()}


def _draw(axes: Axes, rows: Mapping[str, Interval]) -> None:
    for place, (value, low, high) in enumerate(rows.values()):
        axes.plot([low, high], [place, place], color="C0")
        axes.plot([value], [place], "o", color="C0")
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.9")


if __name__ == "__main__":
    main()
