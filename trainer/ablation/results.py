"""What is measured of a cell, kept as one JSON file each, and the statistics over seeds and patients."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.documents import write_whole
from trainer.ablation.probe import Figures
from trainer.evaluation.figures import Figure, bootstrap_interval


@dataclass(frozen=True, slots=True)
class CellResult:
    """What was measured of a cell.

    digest : of the cell's settings
    seconds : of the training's steps, waiting for data included
    patients : figures of each held-out patient
    signs : the training's last logged figures
    """

    rung: int
    seed: int
    digest: str
    seconds: float
    patients: Mapping[str, Figures]
    signs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and deviation of a figure.

    mean : over seeds and patients
    deviation : between the seeds' means (unbiased); nan for one seed
    """

    mean: float
    deviation: float


def write_result(result: CellResult, path: Path) -> None:
    """Whole or not at all."""
    write_whole(path, json.dumps(asdict(result), indent=1, sort_keys=True) + "\n")


def read_result(path: Path) -> CellResult | None:
    return CellResult(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def spread(results: Sequence[CellResult], metric: str) -> Spread:
    """Mean and deviation of one rung's results, a seed each."""
    seeds = _by_seed(results, metric).mean(axis=1)
    return Spread(float(seeds.mean()), float(seeds.std(ddof=1)) if len(seeds) > 1 else float("nan"))


def difference(results: Sequence[CellResult], others: Sequence[CellResult], metric: str) -> Figure:
    """Results minus others over the same patients, each patient's mean over the seeds first."""
    values = _by_seed(results, metric).mean(axis=0) - _by_seed(others, metric).mean(axis=0)
    low, high = bootstrap_interval(values.tolist(), seed=0)
    return Figure(float(values.mean()), low, high, len(values))


def of_the_same_seeds(
    results: Sequence[CellResult], others: Sequence[CellResult]
) -> tuple[list[CellResult], list[CellResult]]:
    """Those results of both whose seed the other has too, as long as not all cells are trained."""
    shared = {result.seed for result in results} & {other.seed for other in others}
    return [result for result in results if result.seed in shared], [other for other in others if other.seed in shared]


def metrics_of(results: Sequence[CellResult]) -> list[str]:
    return sorted({metric for result in results for figures in result.patients.values() for metric in figures})


def _by_seed(results: Sequence[CellResult], metric: str) -> NDArray[np.float64]:
    """(seeds, patients)"""
    names = sorted(results[0].patients)
    return np.array([[result.patients[name][metric] for name in names] for result in results])
