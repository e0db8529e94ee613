"""report.html: one file that needs nothing beside it, and the figures once more as PNG files."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from operators.documents import write_whole
from trainer.benchmark.report.drawing import draw_bars, draw_curves, draw_radar, main_rows
from trainer.benchmark.report.published import PUBLISHED, Published
from trainer.benchmark.results import Comparison, ResultRow
from trainer.benchmark.task import Task, Track

REPORT, FIGURES = "report.html", "figures"

TITLES: Mapping[Track, str] = {
    "2d": "2D track",
    "3d": "3D track",
    "findings": "Findings",
    "registration": "Registration",
    "survival": "Survival",
    "fomo": "FOMO 2025",
    "unicorn": "UNICORN, vision tasks of radiology",
    "vqa": "RadImageNet-VQA, closed questions",
    "packs": "Packs of labelled images",
}


@dataclass(frozen=True, slots=True)
class TrackPart:
    """A track as the page shows it.

    pictures : caption and PNG as base64
    """

    title: str
    tasks: Sequence[Task]
    models: Sequence[str]
    cells: Mapping[tuple[str, str], ResultRow]
    comparisons: Sequence[Comparison]
    published: Sequence[Published]
    pictures: Sequence[tuple[str, str]]


def write_report(
    rows: Sequence[ResultRow],
    comparisons: Sequence[Comparison],
    tasks: Sequence[Task],
    refused: Sequence[str],
    out: Path,
    *,
    pictures: Sequence[tuple[str, Figure]] = (),
) -> None:
    """The page into *out*, whole or not at all, and its figures into *out*/figures.

    tasks : of the rows
    pictures : further figures with their captions
    """
    models = list(dict.fromkeys(row.model for row in rows))
    tracks = list(dict.fromkeys(row.track for row in rows))
    parts = [_part(track, rows, comparisons, tasks, models, out) for track in tracks]
    further = [(caption, _png(figure, out, caption)) for caption, figure in pictures]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("page.html.jinja").render(
        models=models, parts=parts, rows=rows, refused=refused, pictures=further
    )
    write_whole(out / REPORT, page)


def _part(
    track: Track,
    rows: Sequence[ResultRow],
    comparisons: Sequence[Comparison],
    tasks: Sequence[Task],
    models: Sequence[str],
    out: Path,
) -> TrackPart:
    mine = [row for row in rows if row.track == track]
    shown = [task for task in tasks if task.track == track and any(row.task == task.name for row in mine)]
    metrics = {task.name: task.metric for task in shown}
    cells: dict[tuple[str, str], ResultRow] = {}
    for row in mine:
        if row.metric == metrics.get(row.task):
            cells.setdefault((row.task, row.model), row)
    drawn: list[tuple[str, Figure]] = []
    if bars := main_rows(mine, metrics):
        drawn.append((f"{track}-bars", draw_bars(bars, models, f"{TITLES[track]}: 95 % intervals over patients")))
        if (radar := draw_radar(bars, models, TITLES[track])) is not None:
            drawn.append((f"{track}-radar", radar))
    drawn += [(f"{track}-{name}", figure) for name, figure in draw_curves(mine, models)]
    pictures = [(name, _png(figure, out, name)) for name, figure in drawn]
    compared = [comparison for comparison in comparisons if comparison.track == track]
    return TrackPart(TITLES[track], shown, models, cells, compared, PUBLISHED.get(track, ()), pictures)


def _png(figure: Figure, out: Path, name: str) -> str:
    buffer = io.BytesIO()
    # Without the library's version in it, the same results write the same bytes.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    folder = out / FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower())}.png").write_bytes(buffer.getvalue())
    return base64.b64encode(buffer.getvalue()).decode("ascii")
