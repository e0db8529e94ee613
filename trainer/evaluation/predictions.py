"""What was answered about patients that nothing was fitted on, and the figures that it gives.

Every figure is computed for all resamples of patients at once: a resample gives each patient a weight, the number of
times that it was drawn, and each metric is a function of weighted sums. Two models that are asked about the same
patients are resampled alike, so their figures can be subtracted resample by resample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from lifelines.utils import concordance_index
from numpy.typing import NDArray

from trainer.evaluation.figures import Figure

NUM_RESAMPLES = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Answers to examples of patients.

    patients : (n,) whose each example is
    true : (n,) class number, value, or time of survival; (n, L) 0, 1 or nan for many labels
    scores : (R, n, C) probabilities of classes or labels, (R, n, 1) values or risks, R repeated draws of what was
        fitted on; (1, n, 2 or 3) Dice, HD95 and surface distance of images
    events : (n,) for survival whether the time ended with the event
    """

    patients: NDArray[np.str_]
    true: Floats
    scores: Floats
    events: NDArray[np.bool_] | None = None

    @property
    def num_patients(self) -> int:
        return len(np.unique(self.patients))


Metric = Callable[[Predictions, Floats], Floats]
"""Predictions and (B, n) weights of the examples to (B,) figures; nan where a resample has none."""


def resample_weights(patients: NDArray[np.str_], *, seed: int, num_resamples: int = NUM_RESAMPLES) -> Floats:
    """(1 + B, n): ones, then how often each example's patient was drawn."""
    names, places = np.unique(patients, return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), num_resamples)
    by_patient = np.concatenate([np.ones((1, len(names)), np.int64), draws])
    return np.asarray(by_patient[:, places], np.float64)


def resampled_metric(metric: Metric, predictions: Predictions, *, seed: int) -> Floats:
    """(1 + B,) the figure, then that of each resample."""
    return metric(predictions, resample_weights(predictions.patients, seed=seed))


def figure_of(resampled: Floats, num_patients: int) -> Figure:
    """The figure with the 95 % percentile interval of its resamples.

    resampled : of `resampled_metric`
    """
    low, high = np.nanpercentile(resampled[1:], [2.5, 97.5])
    return Figure(float(resampled[0]), float(low), float(high), num_patients)


def accuracy(predictions: Predictions, weights: Floats) -> Floats:
    """Share of the examples that are answered right."""
    right = (_answers(predictions) == predictions.true).mean(axis=0)
    return np.asarray(weights @ right / weights.sum(axis=1))


def balanced_accuracy(predictions: Predictions, weights: Floats) -> Floats:
    """Mean over classes of the share that is answered right; a class that a resample lacks is left out of it."""
    right = (_answers(predictions) == predictions.true).mean(axis=0)
    recalls = []
    for number in np.unique(predictions.true):
        chosen = predictions.true == number
        total = weights[:, chosen].sum(axis=1)
        recalls.append(
            np.divide(weights[:, chosen] @ right[chosen], total, out=np.full(len(weights), np.nan), where=total > 0)
        )
    return np.asarray(_mean_of_known(np.stack(recalls)))


def macro_auc(predictions: Predictions, weights: Floats) -> Floats:
    """Mean over classes of the area under each one's ROC curve; of two classes that of the second."""
    num_classes = predictions.scores.shape[2]
    asked = range(1, 2) if num_classes == 2 else range(num_classes)
    areas = [
        weighted_auc(scores[:, number], predictions.true == number, weights)
        for number in asked
        for scores in predictions.scores
    ]
    return np.asarray(_mean_of_known(np.stack(areas)))


def weighted_auc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """(B,) areas under the ROC curve, ties counting half; nan where positives or negatives are missing."""
    _, places = np.unique(scores, return_inverse=True)
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    above = np.add.reduceat((weights * positive)[:, order], starts, axis=1)
    below = np.add.reduceat((weights * ~positive)[:, order], starts, axis=1)
    before = np.cumsum(below, axis=1) - below / 2
    pairs = above.sum(axis=1) * below.sum(axis=1)
    return _ratio((above * before).sum(axis=1), pairs)


def mae(predictions: Predictions, weights: Floats) -> Floats:
    """Mean absolute error, in the target's unit."""
    return _weighted(np.abs(_values(predictions) - predictions.true), weights)


def rmse(predictions: Predictions, weights: Floats) -> Floats:
    """Root of the mean squared error, in the target's unit."""
    return np.asarray(np.sqrt(_weighted((_values(predictions) - predictions.true) ** 2, weights)))


def r2(predictions: Predictions, weights: Floats) -> Floats:
    """Share of the variance that is explained; below 0 where the mean would be nearer."""
    errors = _weighted((_values(predictions) - predictions.true) ** 2, weights)
    variance = _weighted(predictions.true**2, weights) - _weighted(predictions.true, weights) ** 2
    return np.asarray(1.0 - _ratio(errors, variance))


def mean_dice(predictions: Predictions, weights: Floats) -> Floats:
    """From the overlaps that each image brings itself, the mean over patients of their means."""
    return _mean_over_patients(predictions.scores[0, :, 0], predictions.patients, weights)


def mean_hd95(predictions: Predictions, weights: Floats) -> Floats:
    """The mean over patients of the borders' distances, in mm of the image's grid; an image with an empty mask is
    left out."""
    return _mean_over_patients(predictions.scores[0, :, 1], predictions.patients, weights)


def mean_surface_distance(predictions: Predictions, weights: Floats) -> Floats:
    """The mean over patients of the borders' mean distance, in mm."""
    return _mean_over_patients(predictions.scores[0, :, 2], predictions.patients, weights)


def c_index(predictions: Predictions, weights: Floats) -> Floats:
    """Harrell's concordance of risks with times: of the pairs that can be compared, the share in the right order."""
    assert predictions.events is not None
    risks, found = _values(predictions), []
    for weight in weights.astype(int):
        drawn = np.repeat(np.arange(len(risks)), weight)
        try:
            found.append(concordance_index(predictions.true[drawn], -risks[drawn], predictions.events[drawn]))
        except ZeroDivisionError:  # a resample without pairs that can be compared
            found.append(np.nan)
    return np.array(found)


def mean_auc(predictions: Predictions, weights: Floats) -> Floats:
    """Mean over labels of the area under each one's ROC curve; of each label only examples that are told."""
    areas = []
    for label in range(predictions.true.shape[1]):
        told = np.isfinite(predictions.true[:, label])
        positive = predictions.true[told, label] == 1
        areas.append(weighted_auc(predictions.scores[0, told, label], positive, weights[:, told]))
    return np.asarray(_mean_of_known(np.stack(areas)))


METRICS: Mapping[str, Metric] = {
    "balanced-accuracy": balanced_accuracy,
    "accuracy": accuracy,
    "macro-auc": macro_auc,
    "mean-auc": mean_auc,
    "mae": mae,
    "rmse": rmse,
    "r2": r2,
    "dice": mean_dice,
    "hd95": mean_hd95,
    "surface-distance": mean_surface_distance,
    "c-index": c_index,
}

LOWER_IS_BETTER = frozenset({"mae", "rmse", "hd95", "surface-distance", "tre-mm"})


def _answers(predictions: Predictions) -> NDArray[np.int64]:
    """(R, n)"""
    return np.asarray(predictions.scores.argmax(axis=2))


def _values(predictions: Predictions) -> Floats:
    """(n,) the mean over draws."""
    return np.asarray(predictions.scores[:, :, 0].mean(axis=0))


def _weighted(values: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ values / weights.sum(axis=1))


def _mean_over_patients(values: Floats, patients: NDArray[np.str_], weights: Floats) -> Floats:
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(weights), np.nan)
    _, first, places = np.unique(patients[known], return_index=True, return_inverse=True)
    means = np.bincount(places, values[known]) / np.bincount(places)
    drawn = weights[:, known][:, first]
    return _ratio(drawn @ means, drawn.sum(axis=1))


def _mean_of_known(rows: Floats) -> Floats:
    known = np.isfinite(rows).sum(axis=0)
    return _ratio(np.nansum(rows, axis=0), known.astype(float))


def _ratio(above: Floats, below: Floats) -> Floats:
    """nan where there is nothing to divide by."""
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))
