"""Fitting what brings a head's probabilities to the frequencies that held-out patients show."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from operators.heads.calibration import Isotonic, Platt, Temperature

Method = Literal["none", "temperature", "platt", "isotonic"]

Floats = NDArray[np.float64]
HIGHEST_TEMPERATURE = 100.0
MOST_CORNERS = 64


def fit_temperature(scores: Floats, classes: NDArray[np.int64]) -> float:
    """The temperature of classes that exclude one another: what all scores are divided by, by likelihood (Guo 2017).

    scores : (n, C)
    """

    def loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(scores / np.exp(log_temperature), axis=1)
        return float(-log_probabilities[np.arange(len(classes)), classes].mean())

    return _smallest(loss)


def fit_output_temperature(scores: Floats, present: NDArray[np.bool_]) -> Temperature:
    """The temperature of one output, (n,) scores as log odds."""

    def loss(log_temperature: float) -> float:
        scaled = scores / np.exp(log_temperature)
        return float(-np.where(present, log_expit(scaled), log_expit(-scaled)).mean())

    return Temperature(method="temperature", temperature=_smallest(loss))


def fit_platt(scores: Floats, present: NDArray[np.bool_]) -> Platt:
    """A logistic curve of (n,) scores, with Platt's targets, which keep it finite where all are told apart (1999).

    It never falls: where higher scores go with fewer that have it, as they may by chance among few patients, all are
    told the same.
    """
    positives, negatives = int(present.sum()), int((~present).sum())
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    # Soft targets by weights: each example is shown as both.
    twice, answers = np.concatenate([scores, scores])[:, None], np.repeat([1, 0], len(scores))
    weights = np.concatenate([np.where(present, high, low), np.where(present, 1 - high, 1 - low)])
    model = LogisticRegression(C=1e6, max_iter=1000).fit(twice, answers, sample_weight=weights)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        slope, intercept = 0.0, float(logit(weights[answers == 1].sum() / len(scores)))
    return Platt(method="platt", slope=slope, intercept=intercept)


def fit_isotonic(scores: Floats, present: NDArray[np.bool_]) -> Isotonic:
    """Steps that never fall (pool adjacent violators), their corners joined by straight lines."""
    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, present.astype(float))
    corners, heights = np.unique(model.X_thresholds_, return_index=True)
    heights = model.y_thresholds_[heights]
    if len(corners) > MOST_CORNERS:
        chosen = np.unique(np.linspace(0, len(corners) - 1, MOST_CORNERS).round().astype(int))
        corners, heights = corners[chosen], heights[chosen]
    if len(corners) == 1:
        corners, heights = np.array([corners[0] - 1.0, corners[0]]), np.repeat(heights, 2)
    return Isotonic(method="isotonic", scores=tuple(corners.tolist()), probabilities=tuple(heights.tolist()))


def _smallest(loss: object) -> float:
    found = minimize_scalar(loss, bounds=(-np.log(HIGHEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)), method="bounded")
    return float(np.exp(found.x))
