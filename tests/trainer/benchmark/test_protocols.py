"""Protocols on features that are made, so that the answer is known."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.benchmark.dataset import DataSet
from trainer.benchmark.protocols import answers
from trainer.benchmark.question import Question, pose
from trainer.benchmark.task import Task
from trainer.evaluation.figures import Figure
from trainer.evaluation.predictions import METRICS, figure_of, resampled_metric

PATIENTS, IMAGES = 40, 3


def nothing(row: int, column: str) -> None:
    raise AssertionError("no image is read")


def question(kind: str, *, shuffled: bool = False) -> Question:
    """Three classes, and a value that is ten times the class; of each patient three images."""
    labels = np.arange(PATIENTS) % 3
    if shuffled:
        labels = np.random.default_rng(5).permutation(labels)
    rows = tuple(
        {"image": "i", "label": "abc"[labels[p]], "value": str(10 * labels[p]), "event": "1", "patient_id": f"p{p:02d}"}
        for p in range(PATIENTS)
        for _ in range(IMAGES)
    )
    target, extra = ("label", {}) if kind == "classification" else ("value", {})
    if kind == "survival":
        extra = {"event": "event"}
    task = Task(
        name="t", track="packs", dataset="d", modality="", body_region="", values="8-bit", kind=kind, target=target,
        protocols=("linear",), metric="x", **extra,
    )  # fmt: skip
    return pose(task, DataSet("d", "0", rows, nothing, nothing))


@dataclass
class Made:
    """Features in the order of the table."""

    features: NDArray[np.float32]

    def vectors(self, rows: tuple[int, ...]) -> NDArray[np.float32]:
        return self.features[list(rows)]


def separable() -> Made:
    """Each class around a corner of its own, among noise."""
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(PATIENTS) % 3, IMAGES)
    corners = np.eye(3)[classes] * 6
    noise = rng.normal(size=(PATIENTS * IMAGES, 8))
    return Made(np.concatenate([corners + 0.3 * rng.normal(size=corners.shape), noise], axis=1).astype(np.float32))


def figures(question: Question, protocol: str, metric: str) -> dict[str, Figure]:
    return {
        name: figure_of(resampled_metric(METRICS[metric], predictions, seed=0), predictions.num_patients)
        for name, predictions in answers(question, [separable()], protocol)
    }


@pytest.mark.parametrize("protocol", ["linear", "knn"])
def test_separable_features_are_told_apart_without_an_error(protocol: str) -> None:
    for metric in ("balanced-accuracy", "macro-auc"):
        assert figures(question("classification"), protocol, metric)[protocol] == Figure(1.0, 1.0, 1.0, PATIENTS)


@pytest.mark.parametrize("protocol", ["linear", "knn"])
def test_labels_shuffled_by_patient_give_chance(protocol: str) -> None:
    found = figures(question("classification", shuffled=True), protocol, "balanced-accuracy")[protocol]
    assert found.low < 1 / 3 < found.high


def test_a_few_examples_are_enough_for_separable_features_and_more_do_not_harm() -> None:
    found = figures(question("classification"), "few-shot", "balanced-accuracy")
    assert list(found) == [f"few-shot-{shots}" for shots in (1, 2, 4, 8, 16)]
    assert found["few-shot-1"].value > 0.8
    assert found["few-shot-16"].value == 1.0


def test_few_shots_of_shuffled_labels_give_chance() -> None:
    found = figures(question("classification", shuffled=True), "few-shot", "balanced-accuracy")
    assert all(figure.low < 1 / 3 < figure.high for figure in found.values())


def test_a_share_of_the_patients_is_fitted_on() -> None:
    found = figures(question("classification"), "data-efficiency", "balanced-accuracy")
    assert list(found) == ["linear-25%", "linear-50%"]
    assert found["linear-50%"].value > 0.98


def test_a_value_that_the_features_hold_is_found() -> None:
    for protocol in ("ridge", "knn"):
        assert figures(question("regression"), protocol, "mae")[protocol].value < 1.0
    shuffled = figures(question("regression", shuffled=True), "ridge", "r2")["ridge"]
    assert shuffled.value < 0.1


def test_risks_are_in_the_order_of_the_times_that_the_features_hold() -> None:
    assert figures(question("survival"), "cox", "c-index")["cox"].value > 0.95
    assert figures(question("survival", shuffled=True), "cox", "c-index")["cox"].low < 0.5


def test_the_same_answers_twice() -> None:
    for protocol in ("linear", "few-shot", "data-efficiency"):
        first, second = (list(answers(question("classification"), [separable()], protocol)) for _ in range(2))
        for (_, one), (_, other) in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.scores, other.scores)
