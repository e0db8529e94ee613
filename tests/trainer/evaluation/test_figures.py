import numpy as np
import pytest

from trainer.evaluation.figures import Figure, bootstrap_interval, mean_figure, paired_difference


def test_bootstrap_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 400).tolist()
    low, high = bootstrap_interval(values, seed=1)
    assert (high - low) == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert low < np.mean(values) < high
    assert bootstrap_interval([0.7] * 5, seed=0) == pytest.approx((0.7, 0.7))


def test_a_difference_is_taken_patient_by_patient() -> None:
    difference = paired_difference({"a": 0.5, "b": 1.0}, {"b": 0.25, "a": 0.75})
    assert difference == {"a": -0.25, "b": 0.75}
    assert mean_figure(difference, seed=0) == Figure(0.25, -0.25, 0.75, 2)
    assert mean_figure(difference, seed=0).record("x") == {
        "x": 0.25,
        "x_95_low": -0.25,
        "x_95_high": 0.75,
        "x_patients": 2,
    }
    with pytest.raises(ValueError, match=r"only one has \['c'\]"):
        paired_difference({"a": 1.0, "c": 1.0}, {"a": 1.0})
