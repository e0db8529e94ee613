"""What a kind of head is to cross-validation: something that is fitted on some rows and asked about others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What a fit gives.

    tensors : of the head's file
    epochs : that the fit took, and what held-out rows lost by it (infinite without any)
    """

    tensors: Tensors
    epochs: int = 1
    held_out_loss: float = float("inf")


class Trainable(Protocol):
    """A kind of head with the examples of a table."""

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        """Fit on *rows*; *held_out* are those that tell when to stop."""

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        """(n, C) what a head with these tensors says about *rows*, before any calibration."""
