"""Against scikit-learn's ridge regression on the tokens themselves."""

import numpy as np
from sklearn.linear_model import Ridge

from trainer.heads.cell_moments import CellMoments, added

CLASSES, CELLS, WIDTH = 3, 4, 7


def made(tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Features far from 0 on scales that differ, one of them constant; labels of three classes, one of them rare."""
    rng = np.random.default_rng(tokens)
    labels = rng.choice(CLASSES, (tokens, CELLS), p=[0.7, 0.25, 0.05]).astype(np.uint8)
    features = rng.normal(20, 1, (tokens, WIDTH)) * np.logspace(-2, 1, WIDTH)
    features[:, :CELLS] += 0.1 * labels
    features[:, -1] = 5.0
    return features.astype(np.float32), labels


def by_scikit_learn(features: np.ndarray, labels: np.ndarray, *, penalty: float, balance: float) -> np.ndarray:
    """(n, 2, cells) what is said of each class above background."""
    scale = features.std(axis=0, dtype=np.float64)
    standard = (features - features.mean(axis=0, dtype=np.float64)) / np.where(scale < 1e-6, 1.0, scale)
    targets = np.concatenate([labels == number for number in range(CLASSES)], axis=1).astype(float)
    majority = np.array([np.bincount(cells, minlength=CLASSES).argmax() for cells in labels])
    weights = (1.0 / np.bincount(majority)[majority]) ** balance
    model = Ridge(alpha=penalty).fit(standard, targets, sample_weight=weights / weights.mean())
    outputs = model.predict(standard).reshape(len(features), CLASSES, CELLS)
    return np.asarray(outputs[:, 1:] - outputs[:, :1])


def test_sums_give_the_ridge_regression_of_their_tokens() -> None:
    features, labels = made(5000)
    origin = features[:100].mean(axis=0)
    halves = [
        CellMoments.of(features[part], labels[part], num_classes=CLASSES - 1, origin=origin)
        for part in (slice(0, 1200), slice(1200, None))
    ]
    linear = added(halves).fit(penalty=30.0, balance=0.5)
    outputs = linear(features.astype(np.float64)).reshape(-1, CLASSES - 1, CELLS)
    np.testing.assert_allclose(outputs, by_scikit_learn(features, labels, penalty=30.0, balance=0.5), atol=2e-4)
