"""The cumulative hazard of a series like the mean of the training set, beside fitted log hazard ratios."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def baseline_hazard(log_ratios: Floats, times: Floats, events: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Breslow's estimate: at each time of an event, how many of them to the sum of the hazard ratios of all at risk.

    log_ratios, times, events : (n,); the ratios are to the mean of the training set

    Returns
    -------
    (T,) times and (T,) the hazard up to each, both rising; the last is the end of the observation
    """
    at = np.unique(times[events])
    ratios = np.exp(log_ratios)
    steps = np.array([(events & (times == time)).sum() / ratios[times >= time].sum() for time in at])
    hazard = np.cumsum(steps)
    if times.max() > at[-1]:
        at, hazard = np.append(at, times.max()), np.append(hazard, hazard[-1])
    return at, hazard


def baseline_at(days: NDArray[np.floating], hazard: NDArray[np.floating], day: float) -> float:
    """The cumulative hazard until *day*, 0 before the first step."""
    step = int(np.searchsorted(days, day, side="right"))
    return float(hazard[step - 1]) if step else 0.0
