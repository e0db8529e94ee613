"""How heavy each example is, so that rare classes are heard."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ClassWeights = Literal["balanced", "none"] | Mapping[str, float]
"""Every class the same in sum, every example the same, or so much by the label's name (others 1)."""

Floats = NDArray[np.float64]


def label_weights(targets: Floats, labels: Sequence[str], how: ClassWeights) -> Floats:
    """(n, C) for labels that may be there together.

    targets : (n, C) of 0, 1 and nan
    """
    if how == "none":
        return np.ones_like(targets)
    if not isinstance(how, str):
        return np.asarray(np.where(targets == 1, np.array([how.get(label, 1.0) for label in labels]), 1.0), np.float64)
    present, absent = (targets == 1).sum(axis=0), (targets == 0).sum(axis=0)
    told = present + absent
    weights = np.where(targets == 1, told / (2 * np.maximum(present, 1)), told / (2 * np.maximum(absent, 1)))
    return np.asarray(weights, np.float64)


def class_weights(classes: Floats, labels: Sequence[str], how: ClassWeights) -> Floats:
    """(n, 1) for classes that exclude one another.

    classes : (n, 1) numbers
    """
    if how == "none":
        return np.ones_like(classes)
    if isinstance(how, str):
        counts = np.bincount(classes[:, 0].astype(int), minlength=len(labels))
        of_class = len(classes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    else:
        of_class = np.array([how.get(label, 1.0) for label in labels])
    return np.asarray(of_class[classes.astype(int)], np.float64)
