import numpy as np
import pytest

from trainer.evaluation.figures import Figure, bootstrap_interval, mean_figure


def test_bootstrap_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 400).tolist()
    low, high = bootstrap_interval(values, seed=1)
    assert (high - low) == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert low < np.mean(values) < high
    assert bootstrap_interval([0.7] * 5, seed=0) == pytest.approx((0.7, 0.7))


def test_of_two_patients_the_interval_reaches_from_one_to_the_other() -> None:
    figure = mean_figure({"a": -0.25, "b": 0.75}, seed=0)
    assert figure == Figure(0.25, -0.25, 0.75, 2)
    assert figure.record("x") == {
        "x": 0.25,
        "x_95_low": -0.25,
        "x_95_high": 0.75,
        "x_patients": 2,
    }
