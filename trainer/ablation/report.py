"""The ablation's table as Markdown, and its figure."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.figure import Figure

from trainer.ablation.plan import RUNGS
from trainer.ablation.results import CellResult, Spread, difference, metrics_of, of_the_same_seeds, spread

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
UNTRAINED = "before training"
TITLES = {"knn": "k-NN", "dice": "Dice", "auc": "AUC"}

References = Mapping[str, Sequence[CellResult]]


def make_table(results: Sequence[CellResult], references: References) -> str:
    """Two tables: each rung's mean with the deviation between seeds, and what training and each change add.

    references : what learns nothing, by name; where its seed plays a part one result for each, `UNTRAINED` among them
    """
    metrics = metrics_of(results)
    columns = [f"{TITLES[name]} {modality}" for name, modality in (metric.split("/") for metric in metrics)]
    rows = [["settings", *columns, "minutes"]]
    for name, found in references.items():
        rows.append([name, *(_with_deviation(spread(found, metric)) for metric in metrics), ""])
    rungs = by_rung(results)
    for rung, cells in rungs.items():
        spreads = [spread(cells, metric) for metric in metrics]
        minutes = sum(cell.seconds for cell in cells) / len(cells) / 60
        rows.append([RUNGS[rung], *map(_with_deviation, spreads), f"{minutes:.1f}"])
    ladder = [(UNTRAINED, list(references[UNTRAINED])), *((RUNGS[rung], cells) for rung, cells in rungs.items())]
    changes = [["what it adds", *columns]]
    for (_, low), (name, high) in pairwise(ladder):
        added = [difference(*of_the_same_seeds(high, low), metric) for metric in metrics]
        changes.append([name, *(f"{d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f})" for d in added)])
    return f"{_markdown(rows)}\n{_markdown(changes)}"


def draw(results: Sequence[CellResult], references: References, out: Path) -> None:
    """A panel for each probe: every cell a dot, the rungs' means joined, the mean before training as a line."""
    metrics = metrics_of(results)
    columns = -(-len(metrics) // 2)
    figure = Figure(figsize=(3.6 * columns, 6.4), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False, sharex=True).ravel()
    rungs = by_rung(results)
    names = [RUNGS[rung] for rung in rungs]
    for axis, metric in zip(axes, metrics, strict=False):
        for cells in rungs.values():
            axis.plot([cell.rung for cell in cells], [spread([cell], metric).mean for cell in cells], "o", color="0.6")
        axis.plot(list(rungs), [spread(cells, metric).mean for cells in rungs.values()], "-s", color="tab:blue")
        axis.axhline(spread(references[UNTRAINED], metric).mean, linestyle="--", color="0.3", label=UNTRAINED)
        name, modality = metric.split("/")
        axis.set_title(f"{TITLES[name]}, {modality}")
        axis.set_xticks(list(rungs), names, rotation=45, ha="right", fontsize="x-small")
    axes[0].legend(fontsize="x-small")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Without the library's version in it, the same results write the same bytes.
    figure.savefig(out, dpi=100, metadata={"Software": None})


def put_into(page: Path, table: str) -> None:
    """Between the page's two marks; what people wrote around them stays."""
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Ablation\n\n{BEGIN}\n{END}\n"
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{page}: expected the lines {BEGIN} and {END}, between which the table goes")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def by_rung(results: Sequence[CellResult]) -> dict[int, list[CellResult]]:
    """Each rung's results in the order of their seeds, rungs ascending."""
    ordered = sorted(results, key=lambda result: (result.rung, result.seed))
    return {rung: [r for r in ordered if r.rung == rung] for rung in sorted({r.rung for r in ordered})}


def _with_deviation(spread: Spread) -> str:
    return f"{spread.mean:.3f}" if math.isnan(spread.deviation) else f"{spread.mean:.3f} ± {spread.deviation:.3f}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join([lines[0], "|" + " --- |" * len(rows[0]) + "\n", *lines[1:]])
