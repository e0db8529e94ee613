"""Fitting the linear read-outs on frozen features; solvers are scikit-learn's, the seed is fixed."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from operators.heads.linear import Linear
from trainer.heads.cell_moments import CellMoments

Features = NDArray[np.float32]


def fit_classes(features: Features, classes: NDArray[np.int64], *, num_classes: int, strength: float) -> Linear:
    """Softmax regression, each class weighing the same.

    features : (n, F); classes : (n,) in 0 .. num_classes - 1, every class present
    strength : inverse of the L2 penalty
    """
    mean, scale = _standard(features)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
    model.fit((features - mean) / scale, classes)
    if len(model.classes_) != num_classes:
        raise ValueError(f"classes: expected {num_classes} different ones, got {len(model.classes_)}")
    return _unstandardised(model.coef_, model.intercept_, mean=mean, scale=scale)


def fit_presence(features: Features, present: NDArray[np.bool_], *, strength: float) -> Linear:
    """Logistic regression to the log odds of one thing, one output."""
    mean, scale = _standard(features)
    model = LogisticRegression(C=strength, max_iter=2000).fit((features - mean) / scale, present)
    return _unstandardised(model.coef_, model.intercept_, mean=mean, scale=scale)


def fit_cells(
    features: Features, labels: NDArray[np.uint8], *, num_classes: int, penalty: float, balance: float
) -> Linear:
    """Least squares to the class of every cell of a token, in closed form.

    features : (n, F); labels : (n, cells), 0 for background, 1 .. num_classes else
    balance : as `CellMoments.fit` says
    """
    origin = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    moments = CellMoments.of(features, labels, num_classes=num_classes, origin=origin)
    return moments.fit(penalty=penalty, balance=balance)


def fit_calibration(scores: NDArray[np.float64], present: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the logistic curve from score to probability (Platt), nearly without penalty."""
    model = LogisticRegression(C=100.0, class_weight="balanced").fit(scores[:, None], present)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _standard(features: Features) -> tuple[Features, Features]:
    """Mean and standard deviation of each feature; a constant feature is only centred."""
    scale = features.std(axis=0, dtype=np.float64)
    scale[scale < 1e-6] = 1.0
    return features.mean(axis=0, dtype=np.float64).astype(np.float32), scale.astype(np.float32)


def _unstandardised(
    weight: NDArray[np.float64], bias: NDArray[np.float64], *, mean: Features, scale: Features
) -> Linear:
    """The same map for features as the encoder gives them."""
    raw = np.asarray(weight / scale, np.float64)
    return Linear(raw.astype(np.float32), np.asarray(bias - raw @ mean, np.float32))
