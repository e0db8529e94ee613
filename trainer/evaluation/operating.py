"""What a head that says present or absent is right about, and whether its probabilities mean what they say."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.figures import Figure
from trainer.evaluation.predictions import Floats, figure_of, resample_weights, weighted_auc

BINS = 10


def sensitivity(called: Floats, present: Floats, weights: Floats) -> Floats:
    """(B,) of those who have it, the share that is called present; called, present : (n,) of 0, 1 and nan."""
    return _share(called == 1, (present == 1) & np.isfinite(called), weights)


def specificity(called: Floats, present: Floats, weights: Floats) -> Floats:
    """(B,) of those who do not have it, the share that is not called present."""
    return _share(called == 0, (present == 0) & np.isfinite(called), weights)


def brier(probabilities: Floats, present: Floats, weights: Floats) -> Floats:
    """(B,) mean squared difference of probability and truth."""
    told = np.isfinite(present)
    return _share((probabilities[told] - present[told]) ** 2, np.ones(told.sum(), bool), weights[:, told])


def area(probabilities: Floats, present: Floats, weights: Floats) -> Floats:
    """(B,) area under the ROC curve."""
    told = np.isfinite(present)
    return weighted_auc(probabilities[told], present[told] == 1, weights[:, told])


def figure_over_patients(
    metric: Callable[[Floats, Floats, Floats], Floats],
    said: Floats,
    present: Floats,
    patients: NDArray[np.str_],
    *,
    seed: int,
) -> Figure | None:
    """A figure of (n,) answers with the interval of its resamples of patients; None where it cannot be told."""
    told = np.isfinite(present)
    resampled = metric(said, present, resample_weights(patients, seed=seed))
    if not np.isfinite(resampled[0]):
        return None
    return figure_of(resampled, len(np.unique(patients[told])))


def reliability(probabilities: Floats, present: NDArray[np.bool_]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean probability, observed share and number of the examples in each part of equal width that has any."""
    places = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    filled = [number for number in range(BINS) if (places == number).any()]
    means = np.array([probabilities[places == number].mean() for number in filled])
    shares = np.array([present[places == number].mean() for number in filled])
    return means, shares, np.array([(places == number).sum() for number in filled], np.int64)


def _share(values: NDArray[np.generic], chosen: NDArray[np.bool_], weights: Floats) -> Floats:
    total = weights[:, chosen].sum(axis=1)
    summed = weights[:, chosen] @ np.asarray(values, np.float64)[chosen]
    return np.asarray(np.divide(summed, total, out=np.full(len(weights), np.nan), where=total > 0))
