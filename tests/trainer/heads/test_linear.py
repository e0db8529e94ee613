import numpy as np
import pytest

from trainer.heads.linear import fit_calibration, fit_cells, fit_classes, fit_presence


def separable(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three far apart clouds, away from the origin and on scales that differ by a thousand."""
    rng = np.random.default_rng(seed)
    classes = np.repeat([0, 1, 2], [200, 60, 20])
    centres = np.array([[5.0, 0.0], [9.0, 0.004], [1.0, 0.008]])
    noise = rng.normal(size=(len(classes), 2)) * [0.3, 0.0003]
    return (centres[classes] + noise).astype(np.float32), classes


def test_softmax_regression_recovers_separable_classes() -> None:
    features, classes = separable()
    linear = fit_classes(features, classes, num_classes=3, strength=10.0)
    np.testing.assert_array_equal(linear(features).argmax(axis=1), classes)


def test_a_class_that_nobody_shows_is_refused() -> None:
    features, classes = separable()
    with pytest.raises(ValueError, match="expected 4 different ones, got 3"):
        fit_classes(features, classes, num_classes=4, strength=1.0)


def test_presence_is_positive_where_it_is_there() -> None:
    features, classes = separable()
    evidence = fit_presence(features, classes == 2, strength=10.0)(features)[:, 0]
    np.testing.assert_array_equal(evidence > 0, classes == 2)


def test_cells_have_each_their_own_classes() -> None:
    """Two cells: the first shows the class, the second its mirror; background wins where nothing is above 0."""
    features, classes = separable()
    labels = np.stack([classes, (2 - classes)], axis=1).astype(np.uint8)
    squared = np.concatenate([features, features**2], axis=1)
    outputs = fit_cells(squared, labels, num_classes=2, penalty=1e-3, balance=1.0)(squared).reshape(-1, 2, 2)
    predicted = np.where(outputs.max(axis=1) > 0, outputs.argmax(axis=1) + 1, 0)
    assert (predicted == labels).mean() > 0.98


def test_a_fit_repeats_to_the_bit() -> None:
    features, classes = separable()
    first, second = (fit_classes(features, classes, num_classes=3, strength=1.0) for _ in range(2))
    assert first.weight.tobytes() == second.weight.tobytes()
    assert first.bias.tobytes() == second.bias.tobytes()


def test_calibration_finds_the_curve_that_made_the_labels() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=20_000)
    present = rng.random(20_000) < 1 / (1 + np.exp(-2.0 * scores))
    slope, intercept = fit_calibration(scores, present)
    assert slope == pytest.approx(2.0, abs=0.1)
    assert intercept == pytest.approx(0.0, abs=0.1)
