"""The report's figures, drawn by matplotlib without a display."""

import re
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.benchmark.results import ResultRow
from trainer.evaluation.predictions import LOWER_IS_BETTER

COLOURS = ("#1b5e9e", "#d9822b", "#6b7280", "#2e8b57", "#9b3d7a", "#8a6d3b", "#4b9aaa", "#b03a2e")
_SHOTS = re.compile(r"few-shot-(\d+)$")
_SHARE = re.compile(r"linear-(\d+)%$")


def draw_bars(rows: Sequence[ResultRow], models: Sequence[str], title: str) -> Figure:
    """Each task's main figure of each model, with its interval; tasks from top to bottom.

    rows : one for each task and model, of a metric that runs from 0 to 1
    """
    tasks = list(dict.fromkeys(row.task for row in rows))
    height = 0.8 / len(models)
    figure = Figure(figsize=(7.6, 1.1 + 0.36 * len(tasks) * max(1.0, 0.55 * len(models))), layout="constrained")
    axes = figure.subplots()
    for number, model in enumerate(models):
        mine = {row.task: row for row in rows if row.model == model}
        shown = [place for place, task in enumerate(tasks) if task in mine]
        values = np.array([mine[tasks[place]].value for place in shown])
        ends = np.array([[mine[tasks[p]].low, mine[tasks[p]].high] for p in shown]).reshape(-1, 2)
        errors = np.abs(ends.T - values) if len(shown) else None
        axes.barh(
            np.array(shown) + (number - (len(models) - 1) / 2) * height,
            values,
            height,
            xerr=errors,
            color=COLOURS[number % len(COLOURS)],
            ecolor="#333333",
            error_kw={"elinewidth": 0.8},
            label=model,
        )
    labels = [f"{task} ({next(row.metric for row in rows if row.task == task)})" for task in tasks]
    axes.set_yticks(range(len(tasks)), labels, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_title(title, loc="left", fontsize="medium")
    figure.legend(fontsize="x-small", loc="outside lower right", ncols=min(4, len(models)))
    _plain(axes)
    return figure


def draw_radar(rows: Sequence[ResultRow], models: Sequence[str], title: str) -> Figure | None:
    """The same figures around a circle; None with fewer than three tasks that every model has."""
    by_model = {model: {row.task: row.value for row in rows if row.model == model} for model in models}
    tasks = [t for t in dict.fromkeys(row.task for row in rows) if all(t in mine for mine in by_model.values())]
    if len(tasks) < 3:
        return None
    angles = np.linspace(0, 2 * np.pi, len(tasks), endpoint=False)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots(subplot_kw={"projection": "polar"})
    for number, (model, mine) in enumerate(by_model.items()):
        values = [mine[task] for task in tasks]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot([*angles, angles[0]], [*values, values[0]], color=colour, label=model)
        axes.fill(angles, values, color=colour, alpha=0.08)
    axes.set_xticks(angles, [textwrap.fill(task.replace("-", " "), 14) for task in tasks], fontsize="x-small")
    axes.tick_params(axis="x", pad=16)
    axes.tick_params(axis="y", labelsize="x-small")
    axes.set_ylim(0, 1)
    axes.set_title(title, loc="left", fontsize="medium")
    figure.legend(fontsize="x-small", loc="outside lower center", ncols=min(4, len(models)))
    return figure


def draw_curves(rows: Sequence[ResultRow], models: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """A panel for each task with few shots, and one for each with shares of the patients; the band is the interval."""
    for pattern, name, label in (
        (_SHOTS, "few-shot", "examples of each class"),
        (_SHARE, "data-efficiency", "share of the patients, %"),
    ):
        chosen = [row for row in rows if pattern.match(row.protocol) and row.metric == "balanced-accuracy"]
        tasks = list(dict.fromkeys(row.task for row in chosen))
        if not tasks:
            continue
        columns = min(3, len(tasks))
        lines = -(-len(tasks) // columns)
        figure = Figure(figsize=(3.4 * columns + 0.6, 2.8 * lines + 0.5), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, task in zip(panels, tasks, strict=False):
            _draw_curve(axes, [row for row in chosen if row.task == task], models, pattern)
            axes.set_title(task, loc="left", fontsize="small")
            axes.set_xlabel(label, fontsize="x-small")
        panels[0].set_ylabel("balanced accuracy", fontsize="x-small")
        panels[0].legend(fontsize="x-small")
        for axes in panels[len(tasks) :]:
            axes.axis("off")
        yield name, figure


def main_rows(rows: Sequence[ResultRow], metrics: dict[str, str]) -> list[ResultRow]:
    """For each task and model the row of the task's metric and first protocol; only metrics from 0 to 1.

    metrics : of each task
    """
    found: dict[tuple[str, str], ResultRow] = {}
    for row in rows:
        if row.metric == metrics.get(row.task) and row.metric not in LOWER_IS_BETTER:
            found.setdefault((row.task, row.model), row)
    return list(found.values())


def _draw_curve(axes: Axes, rows: Sequence[ResultRow], models: Sequence[str], pattern: re.Pattern[str]) -> None:
    for number, model in enumerate(models):
        found = [(pattern.match(row.protocol), row) for row in rows if row.model == model]
        points = sorted((int(match[1]), row.value, row.low, row.high) for match, row in found if match)
        if not points:
            continue
        shots, values, lows, highs = zip(*points, strict=True)
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(shots, values, "o-", color=colour, markersize=3, label=model)
        axes.fill_between(shots, lows, highs, color=colour, alpha=0.12, linewidth=0)
    axes.set_xscale("log", base=2)
    ticks = sorted({int(match[1]) for row in rows if (match := pattern.match(row.protocol))})
    axes.set_xticks(ticks, [str(tick) for tick in ticks], fontsize="x-small")
    axes.tick_params(axis="y", labelsize="x-small")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, linewidth=0.4, color="#dddddd")
    axes.set_axisbelow(True)
