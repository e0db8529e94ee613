import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.isotonic import IsotonicRegression

from trainer.heads.calibrating import fit_isotonic, fit_output_temperature, fit_platt, fit_temperature

RNG = np.random.default_rng(3)


def test_the_temperature_of_classes_that_were_told_twice_too_surely_is_two() -> None:
    scores = RNG.normal(size=(20_000, 3)) * 4
    draws = RNG.random(20_000)[:, None]
    classes = (softmax(scores / 2, axis=1).cumsum(axis=1) < draws).sum(axis=1)
    assert fit_temperature(scores, classes) == pytest.approx(2.0, abs=0.06)


def test_the_temperature_of_one_output() -> None:
    scores = RNG.normal(size=20_000) * 4
    present = RNG.random(20_000) < expit(scores / 3)
    assert fit_output_temperature(scores, present).temperature == pytest.approx(3.0, abs=0.15)


def test_platts_curve_is_the_one_that_made_the_labels() -> None:
    scores = RNG.normal(size=20_000)
    present = RNG.random(20_000) < expit(2 * scores - 1)
    curve = fit_platt(scores, present)
    assert (curve.slope, curve.intercept) == (pytest.approx(2.0, abs=0.1), pytest.approx(-1.0, abs=0.1))


def test_platts_curve_stays_finite_where_all_are_told_apart() -> None:
    """At Platt's targets (n+ + 1) / (n+ + 2): the best that ten on either side can show."""
    scores = np.repeat([-1.0, 1.0], 10)
    curve = fit_platt(scores, scores > 0)
    assert float(curve(np.array(1.0))) == pytest.approx(11 / 12, abs=1e-3)
    assert float(curve(np.array(-1.0))) == pytest.approx(1 / 12, abs=1e-3)


def test_isotonic_steps_are_scikit_learns_at_their_corners() -> None:
    scores = RNG.normal(size=200)
    present = RNG.random(200) < expit(scores)
    curve = fit_isotonic(scores, present)
    expected = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, present).predict(curve.scores)
    np.testing.assert_allclose(curve.probabilities, expected, atol=1e-6)


def test_isotonic_with_one_score_for_all_is_flat() -> None:
    curve = fit_isotonic(np.zeros(4), np.array([True, False, False, False]))
    np.testing.assert_allclose(curve(np.array([-5.0, 0.0, 5.0])), 0.25)


def test_a_curve_never_turns_an_answer_round() -> None:
    """Scores that are wrong by chance, of three who have it and three who do not: all are told one half."""
    scores, present = np.array([-2.0, -1.0, 1.0, 2.0, -3.0, 3.0]), np.array([True, True, False, False, True, False])
    curve = fit_platt(scores, present)
    assert curve.slope == 0.0
    np.testing.assert_allclose(curve(scores), 0.5)
