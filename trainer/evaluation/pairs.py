"""Whether one model's figure differs from another's on the same patients, and with many such questions at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm


def paired_p_value(first: NDArray[np.float64], second: NDArray[np.float64], *, num_patients: int) -> float:
    """Two-sided bootstrap p-value of a difference of 0: twice the smaller tail of the resampled differences.

    The smallest that B resamples can tell is 2 / (B + 1), the figure itself counting as one of them (Davison and
    Hinkley 1997, 4.2). Where no resample lies on the other side of 0 it is the tail of the normal distribution with
    the resamples' mean and deviation, or a correction for many questions would leave nothing. Of n patients it is never
    below 2 ** (1 - n), the smallest p-value that exchanging the two models patient by patient could give.

    first, second : (1 + B,) of `predictions.measure`, resampled alike
    """
    differences = (first - second)[1:]
    differences = differences[np.isfinite(differences)]
    tails = [1 + np.count_nonzero(differences <= 0), 1 + np.count_nonzero(differences >= 0)]
    told = 2 * min(tails) / (len(differences) + 1)
    if min(tails) == 1:
        told = min(told, 2 * norm.sf(abs(differences.mean()) / max(differences.std(), np.finfo(np.float64).tiny)))
    return float(min(1.0, max(told, 2.0 ** (1 - num_patients))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for their number (Holm 1979): the k-th smallest of m times m - k, never below a smaller one's."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
