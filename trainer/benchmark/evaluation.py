"""One question, one model, one protocol: figures with all their resamples, kept on disk."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from operators.documents import write_whole
from trainer.benchmark.features import FeatureTable
from trainer.benchmark.question import Question
from trainer.benchmark.task import Kind
from trainer.evaluation.figures import Figure
from trainer.evaluation.predictions import METRICS, Predictions, figure_of, resampled_metric

SEED = 0
VERSION = 5
"""Counts up when protocols or metrics change, so that what an older program measured is measured again."""

_METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("balanced-accuracy", "accuracy", "macro-auc"),
    "regression": ("mae", "rmse", "r2"),
    "segmentation": ("dice", "hd95"),
    "survival": ("c-index",),
    "multi-label": ("mean-auc",),
    "registration": ("dice",),
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A figure of one protocol.

    resampled : the figure, then that of each resample of patients
    seconds : of features and protocol
    """

    protocol: str
    metric: str
    resampled: Sequence[float]
    num_patients: int
    num_test: int
    seconds: float

    @property
    def figure(self) -> Figure:
        return figure_of(np.array(self.resampled), self.num_patients)


def evaluation_file(cache: Path, question: Question, model_key: str, protocol: str) -> Path:
    """Named by everything that decides the figures."""
    told = [question.task.model_dump_json(), question.dataset.digest, question.rows, model_key, protocol, VERSION, SEED]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    return cache / "evaluations" / f"{question.task.name}-{protocol}-{digest}.json"


def evaluate(
    question: Question, tables: Sequence[FeatureTable], answers: Iterator[tuple[str, Predictions]], path: Path
) -> None:
    """Answer, measure, write whole or not at all.

    answers : protocols with their predictions, which are made as they are asked for
    """
    found: list[Evaluation] = []
    before = time.perf_counter()
    for name, predictions in answers:
        seconds = sum(table.seconds() for table in tables) + time.perf_counter() - before
        found += _measured(question, name, predictions, seconds)
        before = time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps([asdict(evaluation) for evaluation in found]))


def read_evaluations(path: Path) -> list[Evaluation]:
    """What `evaluate` wrote."""
    return [Evaluation(**record) for record in json.loads(path.read_text(encoding="utf-8"))]


def _measured(question: Question, protocol: str, predictions: Predictions, seconds: float) -> list[Evaluation]:
    """Every metric that these predictions define; an AUC, say, needs two classes among those who are asked about."""
    found = []
    for metric in _METRICS[question.task.kind]:
        resampled = resampled_metric(METRICS[metric], predictions, seed=SEED)
        if np.isfinite(resampled[0]):
            counts = (predictions.num_patients, len(predictions.patients))
            found.append(Evaluation(protocol, metric, resampled.tolist(), *counts, round(seconds, 3)))
    return found
