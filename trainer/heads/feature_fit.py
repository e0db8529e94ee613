"""What tells whether a series is like those that a head was fitted on: see `operators.heads.distance`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.heads.distance import FeatureFit

SMALLEST_VARIANCE = 1e-6
"""Least variance, as a share of the mean one, so that what never varied in a small training set does not rule out all
others."""


def fit_features(vectors: NDArray[np.float32], *, rank: int) -> FeatureFit:
    """Probabilistic principal components (Tipping and Bishop 1999) of (n, F), by likelihood.

    rank : directions with variances of their own, at most; fewer where the examples do not tell so many
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors.astype(np.float64) - mean
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    count, width = vectors.shape
    rank = max(1, min(rank, count - 2, width - 1))
    variances = singular**2 / count
    rest = variances[rank:].sum() / max(width - rank, 1)
    floor = SMALLEST_VARIANCE * max(variances.sum() / width, 1e-12)
    return FeatureFit(
        mean.astype(np.float32),
        axes[:rank].astype(np.float32),
        np.maximum(variances[:rank], floor).astype(np.float32),
        float(max(rest, floor)),
    )


def held_out_distances(
    vectors: NDArray[np.float32], folds: Sequence[NDArray[np.int64]], *, rank: int
) -> NDArray[np.float64]:
    """Distances of each fold's rows to a fit on the others': how far those lie who belong to the set but were not seen.

    The fit's own rows always seem nearer, the more so the fewer they are.
    """
    rows = np.concatenate(folds)
    found: list[float] = []
    for fold in folds:
        fit = fit_features(vectors[np.setdiff1d(rows, fold)], rank=rank)
        found.extend(fit.distance(vector) for vector in vectors[fold])
    return np.array(found)
