import numpy as np
import pytest

from trainer.heads.feature_fit import fit_features, held_out_distances

RNG = np.random.default_rng(6)


def test_the_distance_is_mahalanobis_under_the_fitted_covariance() -> None:
    vectors = (RNG.normal(size=(500, 6)) * [5, 3, 1, 1, 1, 1] + 10).astype(np.float32)
    fit = fit_features(vectors, rank=2)
    axes = fit.axes.astype(np.float64)
    covariance = fit.residual * (np.eye(6) - axes.T @ axes) + axes.T @ np.diag(fit.variances) @ axes
    offset = vectors[0] - vectors.mean(axis=0, dtype=np.float64)
    expected = np.sqrt(offset @ np.linalg.solve(covariance, offset))
    assert fit.distance(vectors[0]) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(np.sqrt(fit.variances), [5, 3], rtol=0.1)
    assert fit.residual == pytest.approx(1.0, rel=0.1)


def test_those_that_a_fit_saw_seem_nearer_than_those_that_it_did_not() -> None:
    vectors = RNG.normal(size=(30, 50)).astype(np.float32)
    fit = fit_features(vectors, rank=8)
    seen = np.mean([fit.distance(vector) for vector in vectors])
    others = np.mean([fit.distance(vector) for vector in RNG.normal(size=(200, 50))])
    held_out = held_out_distances(vectors, np.array_split(np.arange(30), 5), rank=8).mean()
    assert seen < others < held_out * 1.1
