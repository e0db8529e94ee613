"""Heads that weigh slices and tokens: gated attention over a bag."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.head_training.trainable import Fitted, Rows, Scores, Tensors
from trainer.heads.bag import Bags, answer_bag, fit_bag
from trainer.heads.objectives import Objective
from trainer.heads.optimising import Optimiser


@dataclass(frozen=True, slots=True, eq=False)
class BagHead:
    """A head that looks at a bag of instances.

    instances : (n, D) of a row, read from the disk when they are asked for
    targets, weights : of all rows
    hidden : width of the gate
    """

    instances: Callable[[int], NDArray[np.float32]]
    targets: NDArray[np.float64]
    weights: NDArray[np.float64]
    objective: Objective
    num_outputs: int
    hidden: int
    optimiser: Optimiser

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        found = fit_bag(
            self._bags(rows),
            self.objective,
            self.optimiser.model_copy(update={"epochs": epochs}),
            num_outputs=self.num_outputs,
            hidden=self.hidden,
            penalty=penalty,
            seed=seed,
            held_out=self._bags(held_out) if held_out is not None else None,
        )
        return Fitted(found.tensors, found.epochs, found.held_out_loss)

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        plain = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        return np.stack([answer_bag(plain, self.instances(row)) for row in rows])

    def _bags(self, rows: Rows) -> Bags:
        return Bags([self.instances(row) for row in rows], self.targets[rows], self.weights[rows])
