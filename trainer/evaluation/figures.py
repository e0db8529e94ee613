"""A figure over patients, with the interval that says how much the choice of patients decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000

ByPatient = Mapping[str, float]
"""One figure for each patient."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value over patients and its 95 % interval.

    patients : how many it is of
    """

    value: float
    low: float
    high: float
    patients: int

    def record(self, name: str) -> dict[str, float | int]:
        """The figure as a model card has it."""
        return {
            name: round(self.value, 3),
            f"{name}_95_low": round(self.low, 3),
            f"{name}_95_high": round(self.high, 3),
            f"{name}_patients": self.patients,
        }


def mean_figure(values: ByPatient, *, seed: int) -> Figure:
    """The mean over patients."""
    ordered = [values[patient] for patient in sorted(values)]
    low, high = bootstrap_interval(ordered, seed=seed)
    return Figure(float(np.mean(list(values.values()))), low, high, len(values))


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
