"""How well a mask agrees with the true one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def dice(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 1 for equal ones; two empty masks agree."""
    total = np.count_nonzero(predicted) + np.count_nonzero(true)
    return 2.0 * np.count_nonzero(predicted & true) / total if total else 1.0


def best_threshold(scores: NDArray[np.float32], true: NDArray[np.bool_], thresholds: Sequence[float]) -> float:
    """The one above which *scores* agree best with *true*, by Dice; the first of equal ones."""
    return max(thresholds, key=lambda threshold: dice(scores > threshold, true))
