"""Whether told survival comes true: groups of patients by what was told, and what Kaplan and Meier's curve shows."""

import numpy as np
from lifelines import KaplanMeierFitter
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GROUPS = 4


def observed_in_groups(told: Floats, times: Floats, events: NDArray[np.bool_], *, day: float) -> tuple[Floats, Floats]:
    """(G,) mean told probability and observed share without the event until *day*, the worst off first.

    told, times, events : (n,)
    """
    parts = [part for part in np.array_split(np.argsort(told, kind="stable"), min(GROUPS, len(told))) if len(part)]
    observed = [
        float(KaplanMeierFitter().fit(times[part], events[part]).survival_function_at_times(day).iloc[0])
        for part in parts
    ]
    return np.array([told[part].mean() for part in parts]), np.array(observed)
