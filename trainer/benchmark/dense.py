"""Segmentation by a linear map of tokens, judged on the image's own grid."""

from collections.abc import Sequence

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
from trainer.evaluation.overlap import best_threshold, dice
from trainer.evaluation.predictions import Predictions
from trainer.features.token_labels import cell_labels
from trainer.heads.linear import fit_cells

SUBDIVISION = 4
"""Cells along each side of a token that have evidence of their own."""

PENALTY = 30.0
BALANCE = 0.5
TOKENS_FROM_EACH_IMAGE = 256
THRESHOLDS = tuple(np.arange(-0.2, 0.8, 0.04).tolist())
"""Of the evidence above background's, among which the fitted patients choose."""


def answer_dense(question: Question, table: FeatureTable) -> Predictions:
    """The mean over classes of each image's Dice; a class that neither shows in an image is left out of its mean."""
    masks = [true_classes(question, row) for row in question.rows]
    num_classes = len(question.task.mask_values) or max(1, len(question.classes))
    found: dict[int, float] = {}
    for number, fold in enumerate(question.folds):
        linear = _fit(question, table, fold, masks, num_classes, seed=number)
        for place in fold.asked.tolist():
            evidence = cell_evidence(
                features_at(table, question.rows[place], masks[place].geometry), linear, SUBDIVISION
            )
            predicted = strongest_class(evidence, masks[place].geometry)
            values = _overlaps(predicted, masks[place].array, num_classes)
            if values:
                found[place] = float(np.mean(values))
    places = sorted(found)
    scores = np.array([found[place] for place in places])
    return Predictions(question.patients[places], np.zeros(len(places)), scores[None, :, None])


def _fit(
    question: Question, table: FeatureTable, fold: Fold, masks: Sequence[Volume], num_classes: int, *, seed: int
) -> Linear:
    """Least squares to the cells of some tokens of each image, then each class's threshold by those same cells."""
    rng = np.random.default_rng(seed)
    tokens, labels = [], []
    for place in fold.fitted.tolist():
        features = features_at(table, question.rows[place], masks[place].geometry)
        cells = cell_labels(masks[place], features.geometry, SUBDIVISION).reshape(-1, SUBDIVISION**2)
        chosen = rng.choice(len(cells), min(len(cells), TOKENS_FROM_EACH_IMAGE), replace=False)
        tokens.append(features.tokens.reshape(len(cells), -1)[chosen])
        labels.append(cells[chosen])
    known, targets = np.concatenate(tokens), np.concatenate(labels)
    linear = fit_cells(known, targets, num_classes=num_classes, penalty=PENALTY, balance=BALANCE)
    evidence = linear(known).reshape(len(known), num_classes, SUBDIVISION**2)
    thresholds = [
        best_threshold(evidence[:, number], targets == number + 1, THRESHOLDS) for number in range(num_classes)
    ]
    return Linear(linear.weight, linear.bias - np.repeat(np.array(thresholds, np.float32), SUBDIVISION**2))


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


def _overlaps(predicted: NDArray[np.uint8], true: NDArray[np.uint8], num_classes: int) -> list[float]:
    return [
        dice(predicted == number, true == number)
        for number in range(1, num_classes + 1)
        if (predicted == number).any() or (true == number).any()
    ]
