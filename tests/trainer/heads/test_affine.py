"""Fits of an affine map against other people's solvers of the same problem."""

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge

from trainer.heads.affine import AffineFit, Examples, fit_affine
from trainer.heads.objectives import Objective, each_label, grades, one_class, partial_likelihood, squared_error
from trainer.heads.optimising import Optimiser

RNG = np.random.default_rng(0)
COUNT, WIDTH, PENALTY = 300, 5, 0.05


def standard_features() -> np.ndarray:
    """Mean 0 and deviation 1, so that every solver's penalty means the same."""
    raw = RNG.normal(size=(COUNT, WIDTH))
    return ((raw - raw.mean(axis=0)) / raw.std(axis=0)).astype(np.float32)


def fitted(features: np.ndarray, targets: np.ndarray, objective: Objective, outputs: int, **more: object) -> AffineFit:
    examples = Examples(features, targets, np.ones_like(targets))
    settings = more.pop("settings", Optimiser(epochs=500))
    return fit_affine(examples, objective, settings, num_outputs=outputs, penalty=PENALTY, seed=0, **more)  # type: ignore[arg-type]


def test_each_label_is_a_logistic_regression_of_its_own() -> None:
    features = standard_features()
    targets = (RNG.random((COUNT, 2)) < expit(features @ RNG.normal(size=(WIDTH, 2)))).astype(float)
    targets[::7, 1] = np.nan
    linear = fitted(features, targets, each_label, 2).linear
    told = np.isfinite(targets).sum()
    for label in range(2):
        rows = np.isfinite(targets[:, label])
        model = LogisticRegression(C=1 / (PENALTY * told), max_iter=1000, tol=1e-8)
        model.fit(features[rows], targets[rows, label])
        np.testing.assert_allclose(linear.weight[label], model.coef_[0], atol=2e-3)
        assert linear.bias[label] == pytest.approx(model.intercept_[0], abs=2e-3)


def test_exclusive_classes_are_a_softmax_regression_with_its_class_weights() -> None:
    features = standard_features()
    classes = (features @ RNG.normal(size=(WIDTH, 3))).argmax(axis=1)
    counts = np.bincount(classes)
    weights = (COUNT / (3 * counts))[classes][:, None]
    examples = Examples(features, classes[:, None].astype(float), weights)
    linear = fit_affine(examples, one_class, Optimiser(epochs=500), num_outputs=3, penalty=PENALTY, seed=0).linear
    model = LogisticRegression(C=1 / (PENALTY * COUNT), class_weight="balanced", max_iter=1000, tol=1e-8)
    model.fit(features, classes)
    np.testing.assert_allclose(linear.weight, model.coef_, atol=2e-3)


def test_a_number_is_a_ridge_regression_whatever_the_features_scale() -> None:
    features = standard_features()
    values = features @ np.arange(1.0, WIDTH + 1) + 40 + RNG.normal(size=COUNT)
    moved = features * [1, 10, 100, 1e-3, 1] + [0, 5, 500, 0, 0]
    linear = fitted(moved.astype(np.float32), values[:, None], squared_error, 1).linear
    model = Ridge(alpha=PENALTY * COUNT).fit(features, values)
    np.testing.assert_allclose(linear(moved.astype(np.float32))[:, 0], model.predict(features), atol=1e-2)


def test_survival_is_lifelines_cox_regression() -> None:
    features = standard_features()
    times = np.exp(3 - features[:, 0] + 0.5 * features[:, 1] + 0.3 * RNG.normal(size=COUNT))
    events = RNG.random(COUNT) < 0.7
    targets = np.stack([times, events.astype(float)], axis=1)
    linear = fitted(features, targets, partial_likelihood, 1, bias="none").linear
    table = pd.DataFrame(features.astype(float)).add_prefix("x").assign(time=times, event=events)
    # Lifelines divides the likelihood by all patients, ours by those with an event.
    model = CoxPHFitter(penalizer=PENALTY * events.mean()).fit(table, "time", "event")
    np.testing.assert_allclose(linear.weight[0], model.params_.to_numpy(), atol=0.02)
    np.testing.assert_array_equal(linear.bias, [0.0])


def test_those_whose_event_falls_on_one_day_are_at_risk_together() -> None:
    risks = torch.tensor([[0.3], [-0.2], [0.5], [1.0]], dtype=torch.float64)
    targets = torch.tensor([[1.0, 1.0], [1.0, 1.0], [2.0, 0.0], [2.0, 1.0]], dtype=torch.float64)
    first, second = np.exp(risks.numpy()).sum(), np.exp(0.5) + np.exp(1.0)
    expected = (2 * np.log(first) - 0.3 + 0.2 + np.log(second) - 1.0) / 3
    assert float(partial_likelihood(risks, targets, torch.ones(4, 1))) == pytest.approx(expected)


def test_grades_have_the_likelihood_of_cumulative_odds() -> None:
    features = standard_features()
    score = features @ RNG.normal(size=WIDTH) + RNG.logistic(size=COUNT)
    grade = np.digitize(score, [-1.0, 0.5])
    found = fitted(features, grade[:, None].astype(float), grades, 2, bias="ordered").linear
    assert found.bias[0] >= found.bias[1]

    def loss(parameters: np.ndarray) -> float:
        weight, bias = parameters[:WIDTH], parameters[WIDTH:]
        above = expit((features @ weight)[:, None] + bias)
        chance = np.stack([1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1]], axis=1)
        return float(-np.log(chance[np.arange(COUNT), grade]).mean() + PENALTY / 2 * weight @ weight)

    best = minimize(loss, np.array([0.0] * WIDTH + [1.0, -1.0])).x
    np.testing.assert_allclose(np.concatenate([found.weight[0], found.bias]), best, atol=0.01)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_batches_come_to_the_same_answers(optimiser: str) -> None:
    features = standard_features()
    classes = (features[:, 0] + features[:, 1] > 0.3).astype(float)[:, None]
    rate = 0.05 if optimiser == "sgd" else 0.02
    settings = Optimiser(optimiser=optimiser, epochs=200, learning_rate=rate, batch_size=COUNT)  # type: ignore[arg-type]
    batches, whole = (fitted(features, classes, each_label, 1, settings=s).linear for s in (settings, Optimiser()))
    agree = (batches(features) > 0) == (whole(features) > 0)
    assert agree.mean() > 0.98


def test_a_fit_stops_where_held_out_examples_stop_gaining() -> None:
    features = RNG.normal(size=(20, 40)).astype(np.float32)
    examples = Examples(features, (features[:, :1] > 0).astype(float), np.ones((20, 1)))
    other = RNG.normal(size=(200, 40)).astype(np.float32)
    held_out = Examples(other, (other[:, :1] > 0).astype(float), np.ones((200, 1)))
    settings = Optimiser(epochs=100, patience=3)
    found = fit_affine(examples, each_label, settings, num_outputs=1, penalty=0.0, seed=0, held_out=held_out)
    long = fit_affine(
        examples, each_label, Optimiser(epochs=100), num_outputs=1, penalty=0.0, seed=0, held_out=held_out
    )
    assert found.epochs < 100
    assert found.held_out_loss < long.held_out_loss
    logits = torch.from_numpy(found.linear(other))
    again = float(each_label(logits, torch.from_numpy(held_out.targets).float(), torch.ones(200, 1)))
    assert again == pytest.approx(found.held_out_loss, rel=1e-3)


def test_a_fit_repeats_to_the_bit() -> None:
    features = standard_features()
    targets = (features[:, :1] > 0).astype(float)
    settings = Optimiser(optimiser="adamw", epochs=3)
    first, second = (fitted(features, targets, each_label, 1, settings=settings).linear for _ in range(2))
    assert first.weight.tobytes() == second.weight.tobytes()
