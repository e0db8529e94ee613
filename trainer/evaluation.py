"""Figures on patients that a head did not see."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000


def patient_folds(patients: Sequence[str], num_folds: int) -> tuple[frozenset[str], ...]:
    """Patients dealt out one after the other in the order of their names; a fold is what a head must not see."""
    names = sorted(set(patients))
    return tuple(frozenset(names[start::num_folds]) for start in range(num_folds))


def dice(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 1 for equal ones; two empty masks agree."""
    total = np.count_nonzero(predicted) + np.count_nonzero(true)
    return 2.0 * np.count_nonzero(predicted & true) / total if total else 1.0


def bootstrap_interval(
    values: Sequence[float], *, seed: int, statistic: Callable[[NDArray[np.float64]], float] = np.mean
) -> tuple[float, float]:
    """95 % percentile interval of a statistic, drawing whole patients with replacement.

    values : one for each patient
    """
    rng = np.random.default_rng(seed)
    array = np.asarray(values, np.float64)
    draws = rng.integers(0, len(array), (NUM_RESAMPLES, len(array)))
    low, high = np.percentile([statistic(array[draw]) for draw in draws], [2.5, 97.5])
    return float(low), float(high)
