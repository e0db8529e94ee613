"""Segmentation by a linear map of tokens, judged on the image's own grid."""

from collections import defaultdict
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
from trainer.benchmark.question import Question
from trainer.evaluation.folds import patient_folds
from trainer.evaluation.overlap import best_threshold, dice, hd95
from trainer.evaluation.predictions import Predictions
from trainer.features.token_labels import cell_labels
from trainer.heads.cell_moments import CellMoments, added

SUBDIVISION = 4
"""Cells along each side of a token that have evidence of their own."""

PENALTY = 30.0
BALANCE = 0.5
TOKENS_FROM_EACH_IMAGE = 256
"""Of each slice in it."""

INNER_FOLDS = 3
THRESHOLDS = tuple(np.arange(-1.0, 0.8, 0.04).tolist())
"""Thresholds of the evidence above background's, among which the fitted patients choose; where little is told of what
is rare, all evidence lies far below 0."""


def answer_dense(question: Question, table: FeatureTable) -> Predictions:
    """Dice and HD95 of each image, means over classes; a class that neither shows in an image is left out of them."""
    masks = [true_classes(question, row) for row in question.rows]
    num_classes = len(question.task.mask_values) or max(1, len(question.classes))
    groups = _groups(question)
    samples = _samples(question, table, groups, masks, num_classes)
    found: dict[int, tuple[float, float]] = {}
    for fold in question.folds:
        linear = _fit([samples[group] for group in np.unique(groups[fold.fitted]).tolist()])
        for place in fold.asked.tolist():
            features = features_at(table, question.rows[place], masks[place].geometry)
            evidence = cell_evidence(features, linear, SUBDIVISION)
            predicted = strongest_class(evidence, masks[place].geometry)
            if (overlaps := image_overlaps(predicted, masks[place], num_classes)) is not None:
                found[place] = overlaps
    places = sorted(found)
    scores = np.array([found[place] for place in places]).reshape(-1, 2)
    return Predictions(question.patients[places], np.zeros(len(places)), scores[None])


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Some tokens of a group of patients, (n, D), the classes of their cells, (n, cells), and their sums."""

    tokens: NDArray[np.float16]
    cells: NDArray[np.uint8]
    moments: CellMoments


def _groups(question: Question) -> NDArray[np.int64]:
    """(n,) the group that each place's patient is in: the fold that asks about it; of those that no fold asks about,
    some few groups.
    """
    groups = np.full(len(question.rows), -1)
    for number, fold in enumerate(question.folds):
        groups[fold.asked] = number
    rest = sorted(set(question.patients[groups < 0].tolist()))
    if rest:
        for number, names in enumerate(patient_folds(rest, min(INNER_FOLDS, len(rest)))):
            groups[np.isin(question.patients, sorted(names))] = len(question.folds) + number
    return groups


def _samples(
    question: Question, table: FeatureTable, groups: NDArray[np.int64], masks: Sequence[Volume], num_classes: int
) -> dict[int, _Sample]:
    """Of every group that a fold is fitted on."""
    fitted = np.unique(np.concatenate([fold.fitted for fold in question.folds]))
    tokens: dict[int, list[NDArray[np.float16]]] = defaultdict(list)
    labels: dict[int, list[NDArray[np.uint8]]] = defaultdict(list)
    for place in fitted.tolist():
        row, mask = question.rows[place], masks[place]
        features = features_at(table, row, mask.geometry)
        cells = cell_labels(mask, features.geometry, SUBDIVISION).reshape(-1, SUBDIVISION**2)
        most = min(len(cells), TOKENS_FROM_EACH_IMAGE * len(mask.array))
        chosen = np.random.default_rng(row).choice(len(cells), most, replace=False)
        tokens[int(groups[place])].append(features.tokens.reshape(len(cells), -1)[chosen].astype(np.float16))
        labels[int(groups[place])].append(cells[chosen])
    origin = next(iter(tokens.values()))[0].mean(axis=0, dtype=np.float32)
    found = {}
    for group in sorted(tokens):
        shown, cells = np.concatenate(tokens.pop(group)), np.concatenate(labels.pop(group))
        found[group] = _Sample(shown, cells, CellMoments.of(shown, cells, num_classes=num_classes, origin=origin))
    return found


def _fit(samples: Sequence[_Sample]) -> Linear:
    """Least squares to the cells; each class's threshold by groups of patients that an inner fit did not see.

    What a fit says of the tokens that it has seen is larger than what it says of others; a threshold that suits the one
    finds nothing in the other.
    """
    evidence = []
    for held in samples:
        shown = [sample for sample in samples if sample is not held] or samples
        evidence.append(_solved(shown)(held.tokens.astype(np.float32)).reshape(len(held.cells), -1, SUBDIVISION**2))
    told, cells = np.concatenate(evidence), np.concatenate([sample.cells for sample in samples])
    thresholds = [best_threshold(told[:, k], cells == k + 1, THRESHOLDS) for k in range(told.shape[1])]
    linear = _solved(samples)
    return Linear(linear.weight, linear.bias - np.repeat(np.array(thresholds, np.float32), SUBDIVISION**2))


def _solved(samples: Sequence[_Sample]) -> Linear:
    return added([sample.moments for sample in samples]).fit(penalty=PENALTY, balance=BALANCE)


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


def image_overlaps(predicted: NDArray[np.uint8], true: Volume, num_classes: int) -> tuple[float, float] | None:
    """Dice and HD95, means over the classes that are there in one of the two; None where no class is."""
    pairs = [(predicted == number, true.array == number) for number in range(1, num_classes + 1)]
    shown = [(ours, theirs) for ours, theirs in pairs if ours.any() or theirs.any()]
    if not shown:
        return None
    distances = [hd95(ours, theirs, true.geometry.spacing) for ours, theirs in shown]
    known = [distance for distance in distances if np.isfinite(distance)]
    dices = [dice(ours, theirs) for ours, theirs in shown]
    return float(np.mean(dices)), float(np.mean(known)) if known else float("nan")
