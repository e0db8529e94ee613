"""What a run tells about itself, and the JSON-lines file that keeps it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from operators.documents import write_whole

METRICS = "metrics.jsonl"
Metrics = Mapping[str, float]


class Listener(Protocol):
    def hear(self, step: int, stage: str, metrics: Metrics) -> None:
        """Take a step's metrics; steps count from the run's beginning, over all stages."""


class JsonLines:
    """*folder*/metrics.jsonl. Drops rows after *last_step*, left by a run that was interrupted there."""

    def __init__(self, folder: Path, *, last_step: int) -> None:
        self._path = folder / METRICS
        kept = [row for row in read_metrics(folder) if row["step"] <= last_step] if self._path.exists() else []
        write_whole(self._path, "".join(json.dumps(row) + "\n" for row in kept))

    def hear(self, step: int, stage: str, metrics: Metrics) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "stage": stage, **metrics}) + "\n")


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """A last line that was cut off is left out."""
    lines = (folder / METRICS).read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def training_seconds(rows: Sequence[Metrics], batch_size: int) -> float:
    """Seconds that a run's steps took, from the logged rates, so that pauses between stop and resume do not count.

    rows : of metrics.jsonl, one process's
    """
    seconds, done = 0.0, 0.0
    for row in rows:
        if "images_per_second" in row:
            seconds += (row["step"] - done) * batch_size / row["images_per_second"]
            done = row["step"]
    return seconds


def tell(listeners: Sequence[Listener], step: int, stage: str, metrics: Metrics) -> None:
    for listener in listeners:
        listener.hear(step, stage, metrics)
