"""Heads that read one vector of a series: linear, multi-label, ordinal, regression, Cox, prototypes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.heads.linear import Linear
from operators.heads.prototypes import class_prototypes
from trainer.head_training.trainable import Fitted, Rows, Scores, Tensors
from trainer.heads.affine import Bias, Examples, fit_affine
from trainer.heads.baseline_hazard import baseline_hazard
from trainer.heads.objectives import Objective
from trainer.heads.optimising import Optimiser

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class AffineHead:
    """Any affine map of the vector; see `trainer.heads.affine`."""

    examples: Examples
    objective: Objective
    num_outputs: int
    optimiser: Optimiser
    bias: Bias = "free"

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        found = fit_affine(
            self.examples.of(rows),
            self.objective,
            self.optimiser.model_copy(update={"epochs": epochs}),
            num_outputs=self.num_outputs,
            penalty=penalty,
            seed=seed,
            bias=self.bias,
            held_out=self.examples.of(held_out) if held_out is not None else None,
        )
        return Fitted(found.linear.tensors, found.epochs, found.held_out_loss)

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        linear = Linear(tensors["weight"], tensors["bias"])
        return np.asarray(linear(self.examples.features[rows]), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class RegressionHead:
    """Least squares on standardised targets, so that one learning rate and penalty suit every unit."""

    affine: AffineHead

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        examples = self.affine.examples
        mean, scale = examples.targets[rows].mean(), examples.targets[rows].std() or 1.0
        standard = Examples(examples.features, (examples.targets - mean) / scale, examples.weights)
        inner = AffineHead(standard, self.affine.objective, 1, self.affine.optimiser)
        found = inner.fit(rows, penalty=penalty, epochs=epochs, seed=seed, held_out=held_out)
        tensors = {"weight": found.tensors["weight"] * scale, "bias": found.tensors["bias"] * scale + mean}
        return Fitted(tensors, found.epochs, found.held_out_loss)

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        return self.affine.scores(tensors, rows)


@dataclass(frozen=True, slots=True, eq=False)
class CoxHead:
    """Log hazard ratios to the mean of those that were fitted on, and the baseline hazard beside them."""

    affine: AffineHead

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        found = self.affine.fit(rows, penalty=penalty, epochs=epochs, seed=seed, held_out=held_out)
        examples = self.affine.examples.of(rows)
        weight = np.asarray(found.tensors["weight"][0])
        mean = examples.features.mean(axis=0, dtype=np.float64).astype(np.float32)
        ratios = (examples.features - mean) @ weight
        days, hazard = baseline_hazard(ratios.astype(np.float64), examples.targets[:, 0], examples.targets[:, 1] == 1)
        tensors = {"weight": weight, "mean": mean, "baseline_days": days, "baseline_hazard": hazard}
        return Fitted(tensors, found.epochs, found.held_out_loss)

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        ratios = (self.affine.examples.features[rows] - tensors["mean"]) @ tensors["weight"]
        return np.asarray(ratios, np.float64)[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class PrototypesHead:
    """Nothing is trained: the examples themselves are the head.

    classes : (n,) numbers
    """

    features: Features
    classes: NDArray[np.int64]
    num_classes: int
    scale: float

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        return Fitted({"examples": self.features[rows], "classes": self.classes[rows].astype(np.float32)})

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        """A class of which nobody is among the examples has the lowest score there is."""
        shown = np.unique(np.asarray(tensors["classes"], np.int64))
        numbers = np.searchsorted(shown, np.asarray(tensors["classes"], np.int64))
        prototypes = class_prototypes(np.asarray(tensors["examples"]), numbers, len(shown))
        asked = self.features[rows]
        cosines = asked / np.linalg.norm(asked, axis=1, keepdims=True) @ prototypes.T
        scores = np.full((len(rows), self.num_classes), -self.scale)
        scores[:, shown] = self.scale * cosines
        return scores
