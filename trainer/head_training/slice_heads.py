"""Heads that judge every slice and answer with the mean over them: body regions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from operators.heads.linear import Linear
from trainer.head_training.trainable import Fitted, Rows, Scores, Tensors
from trainer.heads.affine import Examples, fit_affine
from trainer.heads.objectives import one_class
from trainer.heads.optimising import Optimiser


@dataclass(frozen=True, slots=True, eq=False)
class SliceClassesHead:
    """A linear map of each slice to classes; a study's slices are all of its class and weigh as much as it does.

    slices : (S, F) of a row
    classes, weights : (n, 1) of the studies
    """

    slices: Callable[[int], NDArray[np.float32]]
    classes: NDArray[np.float64]
    weights: NDArray[np.float64]
    num_classes: int
    optimiser: Optimiser

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        found = fit_affine(
            self._slices_of(rows),
            one_class,
            self.optimiser.model_copy(update={"epochs": epochs}),
            num_outputs=self.num_classes,
            penalty=penalty,
            seed=seed,
            held_out=self._slices_of(held_out) if held_out is not None else None,
        )
        return Fitted(found.linear.tensors, found.epochs, found.held_out_loss)

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        """(n, C): the mean over slices of their probabilities."""
        linear = Linear(tensors["weight"], tensors["bias"])
        return np.stack([softmax(linear(self.slices(row)), axis=1).mean(axis=0) for row in rows]).astype(np.float64)

    def _slices_of(self, rows: Rows) -> Examples:
        found = [self.slices(row) for row in rows]
        of_row = np.repeat(rows, [len(slices) for slices in found])
        share = np.repeat([1.0 / len(slices) for slices in found], [len(slices) for slices in found])[:, None]
        return Examples(np.concatenate(found), self.classes[of_row], self.weights[of_row] * share)
