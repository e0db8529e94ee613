import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, recall_score, roc_auc_score

from trainer.evaluation.operating import area, brier, figure_over_patients, reliability, sensitivity, specificity

RNG = np.random.default_rng(8)
PRESENT = (RNG.random(60) < 0.4).astype(float)
PROBABILITIES = np.clip(0.3 * PRESENT + 0.7 * RNG.random(60), 0, 1)
CALLED = (PROBABILITIES > 0.5).astype(float)
PATIENTS = np.array([f"p{k // 2:02d}" for k in range(60)])


def test_figures_are_scikit_learns() -> None:
    one = np.ones((1, 60))
    assert sensitivity(CALLED, PRESENT, one)[0] == pytest.approx(recall_score(PRESENT, CALLED))
    assert specificity(CALLED, PRESENT, one)[0] == pytest.approx(recall_score(PRESENT, CALLED, pos_label=0))
    assert brier(PROBABILITIES, PRESENT, one)[0] == pytest.approx(brier_score_loss(PRESENT, PROBABILITIES))
    assert area(PROBABILITIES, PRESENT, one)[0] == pytest.approx(roc_auc_score(PRESENT, PROBABILITIES))


def test_what_nobody_told_counts_nothing() -> None:
    untold = PRESENT.copy()
    untold[:30] = np.nan
    one = np.ones((1, 60))
    assert brier(PROBABILITIES, untold, one)[0] == pytest.approx(brier_score_loss(PRESENT[30:], PROBABILITIES[30:]))
    figure = figure_over_patients(brier, PROBABILITIES, untold, PATIENTS, seed=0)
    assert figure is not None
    assert figure.patients == 15
    assert figure.low < figure.value < figure.high


def test_a_figure_of_nobody_is_none() -> None:
    assert figure_over_patients(sensitivity, CALLED, np.zeros(60), PATIENTS, seed=0) is None


def test_reliability_counts_the_parts_that_have_any() -> None:
    means, shares, counts = reliability(np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True]))
    np.testing.assert_allclose(means, [0.05, 0.975])
    np.testing.assert_allclose(shares, [0.5, 1.0])
    assert counts.tolist() == [2, 2]
