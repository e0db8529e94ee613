"""Cox's proportional hazards on frozen features."""

from collections.abc import Callable
from warnings import catch_warnings, simplefilter

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from trainer.heads.probes import Standardiser

COMPONENTS = 8
PENALTY = 0.1
"""Weight of the coefficients' squares; with more features than events there is no answer without one."""


def fit_cox(
    features: NDArray[np.float32], times: NDArray[np.float64], events: NDArray[np.bool_]
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Log partial hazards, (n, 1), from the features' first principal components (Cox 1972, by lifelines).

    Raises
    ------
    ValueError
        Without an event nothing can be fitted.
    """
    if not events.any():
        raise ValueError("survival: expected at least one event among the fitted patients, got none")
    standard = Standardiser(features)
    known = standard(features)
    components = PCA(min(COMPONENTS, *known.shape), random_state=0).fit(known)
    table = pd.DataFrame(components.transform(known)).add_prefix("c").assign(time=times, event=events)
    with catch_warnings():
        simplefilter("ignore")  # lifelines warns of few events; the interval tells it
        model = CoxPHFitter(penalizer=PENALTY).fit(table, "time", "event")
    columns = [name for name in table.columns if name.startswith("c")]
    coefficients = model.params_[columns].to_numpy()
    return lambda asked: np.asarray(components.transform(standard(asked)) @ coefficients)[:, None]
