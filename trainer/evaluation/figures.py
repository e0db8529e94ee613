"""Figures on patients that a head did not see."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000

ByPatient = Mapping[str, float]
"""One figure for each patient."""


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


def mean_with_interval(name: str, values: ByPatient, *, seed: int) -> dict[str, float | int]:
    """The mean over patients as *name*, its interval, and of how many patients."""
    low, high = bootstrap_interval([values[patient] for patient in sorted(values)], seed=seed)
    return {
        name: round(float(np.mean(list(values.values()))), 3),
        f"{name}_95_low": round(low, 3),
        f"{name}_95_high": round(high, 3),
        f"{name}_patients": len(values),
    }


def paired_difference(first: ByPatient, second: ByPatient) -> dict[str, float]:
    """First minus second, for each of the patients, who must be the same.

    Raises
    ------
    ValueError
        They are not.
    """
    if first.keys() != second.keys():
        raise ValueError(
            f"patients: expected the same on both sides, only one has {sorted(first.keys() ^ second.keys())}"
        )
    return {patient: first[patient] - second[patient] for patient in first}
