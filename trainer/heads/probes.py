"""Probes of frozen features whose one strength is chosen within the patients that they are fitted on."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, Ridge

from trainer.evaluation.folds import patient_folds

STRENGTHS = (0.0003, 0.003, 0.03, 0.3)
"""Inverse penalties of the logistic regression that are tried."""

PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)
"""Penalties of ridge regression to choose from."""

INNER_FOLDS = 3

Features = NDArray[np.float32]
Floats = NDArray[np.float64]
Fit = Callable[[Features, Floats, float], Callable[[Features], Floats]]
"""Features, what is true, and a strength to a map that answers."""


class Standardiser:
    """Centres and scales features by those that are fitted on; a constant one is only centred."""

    def __init__(self, fitted: Features) -> None:
        self._mean = fitted.mean(axis=0, dtype=np.float64)
        scale = fitted.std(axis=0, dtype=np.float64)
        self._scale = np.where(scale < 1e-6, 1.0, scale)

    def __call__(self, features: Features) -> Floats:
        return np.asarray((features - self._mean) / self._scale)


def fit_logistic(
    features: Features, classes: Floats, strength: float, *, num_classes: int
) -> Callable[[Features], Floats]:
    """Softmax regression, each class weighing the same, to (n, num_classes) probabilities.

    A class that nobody shows gets probability 0; with one class alone it is certain.
    """
    standard, shown = Standardiser(features), np.unique(classes).astype(int)
    if len(shown) == 1:
        return lambda asked: np.eye(num_classes)[np.full(len(asked), shown[0])]
    # In single precision L-BFGS takes the same steps in half the time.
    known = standard(features).astype(np.float32)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=500).fit(known, classes)

    def answer(asked: Features) -> Floats:
        probabilities = np.zeros((len(asked), num_classes))
        evidence = np.asarray(model.decision_function(standard(asked)))
        probabilities[:, shown] = softmax(
            evidence if evidence.ndim == 2 else np.stack([0 * evidence, evidence], axis=1), axis=1
        )
        return probabilities

    return answer


def fit_ridge(features: Features, values: Floats, penalty: float) -> Callable[[Features], Floats]:
    """Least squares with an L2 penalty, in closed form, to (n, 1) values."""
    standard = Standardiser(features)
    model = Ridge(alpha=penalty).fit(standard(features), values)
    return lambda asked: np.asarray(model.predict(standard(asked)))[:, None]


def choose(
    fit: Fit,
    features: Features,
    true: Floats,
    patients: NDArray[np.str_],
    *,
    among: Sequence[float],
    score: Callable[[Floats, Floats, NDArray[np.str_]], float],
) -> float:
    """The strength whose answers about held-out patients score best, of equal ones the first.

    score : of (n, C) answers, what is true, and whose examples they are; larger is better
    """
    folds = patient_folds(patients.tolist(), min(INNER_FOLDS, len(set(patients.tolist()))))
    if len(folds) < 2:
        return among[0]

    def held_out_score(strength: float) -> float:
        answers = np.zeros((len(true), 0))
        for fold in folds:
            held = np.isin(patients, sorted(fold))
            found = fit(features[~held], true[~held], strength)(features[held])
            if not answers.shape[1]:
                answers = np.zeros((len(true), found.shape[1]))
            answers[held] = found
        return score(answers, true, patients)

    return max(among, key=held_out_score)


def nearest_mean(features: Features, classes: Floats, asked: Features, *, num_classes: int) -> Floats:
    """(n, num_classes) by the cosine with each class's mean, after centring (SimpleShot, Wang 2019).

    What is fitted on one or a few examples of each class has no strength to choose.
    """
    centre = features.mean(axis=0)
    means = np.zeros((num_classes, features.shape[1]))
    for number in np.unique(classes).astype(int):
        means[number] = _unit(features[classes == number] - centre).mean(axis=0)
    return np.asarray(softmax(10.0 * _unit(asked - centre) @ _unit(means).T, axis=1))


def _unit(rows: NDArray[np.floating]) -> Floats:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms < 1e-12, 1.0, norms), np.float64)
