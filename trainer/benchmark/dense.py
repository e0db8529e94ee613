"""Segmentation by a linear map of tokens, judged on the image's own grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.evidence import cell_evidence, strongest_class
from operators.heads.linear import Linear
from trainer.benchmark.dataset import BenchmarkDataError, mask_on
from trainer.benchmark.features import FeatureTable, slice_places, thinned
from trainer.benchmark.question import Fold, Question
from trainer.evaluation.folds import patient_folds
from trainer.evaluation.overlap import best_threshold, dice, hd95
from trainer.evaluation.predictions import Predictions
from trainer.features.token_labels import cell_labels
from trainer.heads.linear import fit_cells

SUBDIVISION = 4
"""Cells along each side of a token that have evidence of their own."""

PENALTY = 30.0
BALANCE = 0.5
TOKENS_FROM_EACH_IMAGE = 256
"""Of each slice in it."""

INNER_FOLDS = 3
THRESHOLDS = tuple(np.arange(-0.2, 0.8, 0.04).tolist())
"""Of the evidence above background's, among which the fitted patients choose."""


def answer_dense(question: Question, table: FeatureTable) -> Predictions:
    """Dice and HD95 of each image, means over classes; a class that neither shows in an image is left out of them."""
    masks = [true_classes(question, row) for row in question.rows]
    num_classes = len(question.task.mask_values) or max(1, len(question.classes))
    found: dict[int, tuple[float, float]] = {}
    for number, fold in enumerate(question.folds):
        linear = _fit(question, table, fold, masks, num_classes, seed=number)
        for place in fold.asked.tolist():
            features = features_at(table, question.rows[place], masks[place].geometry)
            evidence = cell_evidence(features, linear, SUBDIVISION)
            predicted = strongest_class(evidence, masks[place].geometry)
            if overlaps := _overlaps(predicted, masks[place], num_classes):
                dices, distances = zip(*overlaps, strict=True)
                known = [distance for distance in distances if np.isfinite(distance)]
                found[place] = float(np.mean(dices)), float(np.mean(known)) if known else float("nan")
    places = sorted(found)
    scores = np.array([found[place] for place in places]).reshape(-1, 2)
    return Predictions(question.patients[places], np.zeros(len(places)), scores[None])


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Some tokens of each image, (n, D), the classes of their cells, (n, cells), and whose they are, (n,)."""

    tokens: NDArray[np.float32]
    cells: NDArray[np.uint8]
    patients: NDArray[np.str_]

    def of(self, chosen: NDArray[np.bool_]) -> "_Sample":
        return _Sample(self.tokens[chosen], self.cells[chosen], self.patients[chosen])

    def fit(self, num_classes: int) -> Linear:
        return fit_cells(self.tokens, self.cells, num_classes=num_classes, penalty=PENALTY, balance=BALANCE)


def _fit(
    question: Question, table: FeatureTable, fold: Fold, masks: Sequence[Volume], num_classes: int, *, seed: int
) -> Linear:
    """Least squares to the cells of some tokens; each class's threshold by patients that an inner fit did not see."""
    sample = _sample(question, table, fold, masks, seed=seed)
    linear = sample.fit(num_classes)
    evidence, cells = _held_out_evidence(sample, num_classes)
    thresholds = [best_threshold(evidence[:, number], cells == number + 1, THRESHOLDS) for number in range(num_classes)]
    return Linear(linear.weight, linear.bias - np.repeat(np.array(thresholds, np.float32), SUBDIVISION**2))


def _sample(question: Question, table: FeatureTable, fold: Fold, masks: Sequence[Volume], *, seed: int) -> _Sample:
    rng = np.random.default_rng(seed)
    tokens, labels, patients = [], [], []
    for place in fold.fitted.tolist():
        features = features_at(table, question.rows[place], masks[place].geometry)
        cells = cell_labels(masks[place], features.geometry, SUBDIVISION).reshape(-1, SUBDIVISION**2)
        chosen = rng.choice(
            len(cells), min(len(cells), TOKENS_FROM_EACH_IMAGE * len(masks[place].array)), replace=False
        )
        tokens.append(features.tokens.reshape(len(cells), -1)[chosen])
        labels.append(cells[chosen])
        patients.append(np.full(len(chosen), question.patients[place]))
    return _Sample(np.concatenate(tokens), np.concatenate(labels), np.concatenate(patients))


def _held_out_evidence(sample: _Sample, num_classes: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(n, classes, cells) evidence about each patient by a fit without that patient, and the (n, cells) true classes.

    What a fit says of the tokens that it has seen is larger than what it says of others; a threshold that suits the one
    finds nothing in the other.
    """
    names = sorted(set(sample.patients.tolist()))
    folds = patient_folds(names, INNER_FOLDS) if len(names) >= INNER_FOLDS else (frozenset[str](),)
    evidence, cells = [], []
    for fold in folds:
        held = np.isin(sample.patients, sorted(fold)) if fold else np.ones(len(sample.patients), bool)
        linear = sample.of(~held if fold else held).fit(num_classes)
        asked = sample.of(held)
        evidence.append(linear(asked.tokens).reshape(-1, num_classes, SUBDIVISION**2))
        cells.append(asked.cells)
    return np.concatenate(evidence), np.concatenate(cells)


def features_at(table: FeatureTable, row: int, image: Geometry) -> FeatureVolume:
    """A row's tokens at their place in the image."""
    tokens = table.tokens(row)
    side = round(tokens.shape[1] ** 0.5)
    return FeatureVolume(tokens.mean(axis=1), tokens, image.rescaled((len(tokens), side, side)))


def true_classes(question: Question, row: int) -> Volume:
    """The true classes on the slices that were encoded, 0 for background.

    Raises
    ------
    BenchmarkDataError
        When the mask has another shape than its image, or a number that no class has.
    """
    task, dataset = question.task, question.dataset
    image = dataset.read_image(row, task.image)
    numbers = mask_on(image, dataset.read_mask(row, task.mask), name=f"{dataset.name}: row {row + 2}: {task.mask}")
    mask = thinned(Volume(numbers, image.geometry), slice_places(len(numbers), task.slices))
    if task.mask_from is not None:
        return Volume((mask.array >= task.mask_from).astype(np.uint8), mask.geometry)
    values = task.mask_values or tuple(range(1, max(1, len(task.classes)) + 1))
    unknown = set(np.unique(mask.array).tolist()) - {0.0, *values}
    if unknown:
        raise BenchmarkDataError(
            f"{dataset.name}: {task.mask}: expected 0 or one of {', '.join(f'{v:g}' for v in values)}, "
            f"got {min(unknown):g}"
        )
    classes = np.zeros(mask.array.shape, np.uint8)
    for number, value in enumerate(values, start=1):
        classes[mask.array == value] = number
    return Volume(classes, mask.geometry)


def _overlaps(predicted: NDArray[np.uint8], true: Volume, num_classes: int) -> list[tuple[float, float]]:
    """Dice and HD95 of every class that is there in one of them."""
    pairs = [(predicted == number, true.array == number) for number in range(1, num_classes + 1)]
    spacing = true.geometry.spacing
    return [(dice(ours, theirs), hd95(ours, theirs, spacing)) for ours, theirs in pairs if ours.any() or theirs.any()]
