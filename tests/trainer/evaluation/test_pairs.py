import numpy as np
import pytest

from trainer.evaluation.pairs import holm, paired_p_value


def test_holm_of_known_p_values() -> None:
    """0.01 x 4, 0.02 x 3, then 0.03 x 2 which may not be below 0.06, and 0.9 x 1."""
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([]) == []


def test_equal_figures_do_not_differ_and_far_ones_do() -> None:
    figures = np.random.default_rng(0).normal(size=1001)
    assert paired_p_value(figures, figures, num_patients=30) == 1.0
    assert paired_p_value(figures + 1, figures, num_patients=30) == 2.0**-29


def test_beyond_the_resamples_the_normal_tail_tells_how_far() -> None:
    """Six deviations from 0: 2 x 9.87e-10, where a thousand resamples alone could tell 0.002."""
    spread = np.random.default_rng(0).normal(size=1000)
    standard = (spread - spread.mean()) / spread.std()
    differences = np.array([6.0, *(6.0 + standard)])
    assert paired_p_value(differences, np.zeros(1001), num_patients=60) == pytest.approx(1.973e-9, rel=1e-3)


def test_four_patients_cannot_tell_much() -> None:
    """All four for the one model: exchanging the models gives 2 of 16 cases that are as clear."""
    assert paired_p_value(np.ones(1001), np.zeros(1001), num_patients=4) == 2 / 16


def test_noise_around_no_difference_is_seldom_called_one() -> None:
    """Means of 30 patients whose true difference is 0: about 5 % of the p-values lie below 0.05."""
    rng = np.random.default_rng(1)
    below = 0
    for _ in range(400):
        patients = rng.normal(size=30)
        draws = patients[rng.integers(0, 30, (400, 30))].mean(axis=1)
        below += paired_p_value(np.array([patients.mean(), *draws]), np.zeros(401), num_patients=30) < 0.05
    assert 0.03 < below / 400 < 0.10
