import numpy as np
import pytest
from lifelines.utils import concordance_index
from sklearn.metrics import balanced_accuracy_score, mean_squared_error, r2_score, roc_auc_score

from trainer.evaluation.predictions import (
    METRICS,
    Predictions,
    figure_of,
    resample_weights,
    resampled_metric,
    weighted_auc,
)

RNG = np.random.default_rng(3)
PATIENTS = np.repeat([f"p{k:02d}" for k in range(15)], 4)


def classes(num: int) -> Predictions:
    true = RNG.integers(0, num, 60).astype(float)
    scores = RNG.dirichlet(np.ones(num), 60).round(2)  # rounded, so that there are ties
    return Predictions(PATIENTS, true, scores[None])


def test_each_figure_is_that_of_the_examples_drawn_so_often() -> None:
    """scikit-learn and lifelines on the examples written out as often as they were drawn."""
    weights = resample_weights(PATIENTS, seed=1, num_resamples=20)
    assert weights.shape == (21, 60)
    assert (weights.sum(axis=1) == 60).all()
    three, two = classes(3), classes(2)
    values = Predictions(PATIENTS, RNG.normal(size=60), RNG.normal(size=(1, 60, 1)))
    events = Predictions(PATIENTS, RNG.random(60), RNG.normal(size=(1, 60, 1)), RNG.random(60) < 0.7)
    for weight in weights[:5]:
        drawn = np.repeat(np.arange(60), weight.astype(int))
        expected = {
            ("balanced-accuracy", three): balanced_accuracy_score(three.true[drawn], three.scores[0, drawn].argmax(1)),
            ("macro-auc", three): np.mean(
                [roc_auc_score(three.true[drawn] == number, three.scores[0, drawn, number]) for number in range(3)]
            ),
            ("macro-auc", two): roc_auc_score(two.true[drawn], two.scores[0, drawn, 1]),
            ("rmse", values): mean_squared_error(values.true[drawn], values.scores[0, drawn, 0]) ** 0.5,
            ("r2", values): r2_score(values.true[drawn], values.scores[0, drawn, 0]),
            ("c-index", events): concordance_index(
                events.true[drawn], -events.scores[0, drawn, 0], events.events[drawn]
            ),
        }
        for (metric, predictions), value in expected.items():
            assert METRICS[metric](predictions, weight[None])[0] == pytest.approx(value), metric


def test_a_resample_without_positives_has_no_area() -> None:
    areas = weighted_auc(np.array([0.1, 0.9]), np.array([False, True]), np.array([[1.0, 1.0], [2.0, 0.0]]))
    assert areas[0] == 1.0
    assert np.isnan(areas[1])


def test_a_dice_is_the_mean_over_patients_not_over_images() -> None:
    """One patient with three images of 0, one with one of 1."""
    scores = np.array([0.0, 0.0, 0.0, 1.0])[None, :, None]
    predictions = Predictions(np.array(["a", "a", "a", "b"]), np.zeros(4), scores)
    assert resampled_metric(METRICS["dice"], predictions, seed=0)[0] == 0.5


def test_repeated_draws_are_averaged() -> None:
    """Right in one draw of two: accuracy one half, whatever the patients."""
    scores = np.stack([np.eye(2)[[0, 1]], np.eye(2)[[1, 0]]])
    resampled = resampled_metric(
        METRICS["accuracy"], Predictions(np.array(["a", "b"]), np.array([0.0, 1.0]), scores), seed=0
    )
    figure = figure_of(resampled, 2)
    assert [figure.value, figure.low, figure.high, figure.patients] == [0.5, 0.5, 0.5, 2]
