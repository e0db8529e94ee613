"""Heads that draw: a linear map of each patch token to the cells within it, fitted to label maps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import FeatureVolume
from operators.domain.volume import Volume
from operators.heads.evidence import cell_evidence, strongest_class
from operators.heads.linear import Linear
from trainer.evaluation.overlap import dice, hd95
from trainer.features.token_labels import cell_labels
from trainer.head_training.trainable import Fitted, Rows, Scores, Tensors
from trainer.heads.linear import fit_cells

TOKENS_FROM_EACH_STUDY = 4096
BALANCE = 0.5
"""Between every token weighing the same and every class."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseHead:
    """features, label_map : of a row, read when they are asked for; the map has 0 for background and k for label k
    subdivision : cells along each side of a token
    """

    features: Callable[[int], FeatureVolume]
    label_map: Callable[[int], Volume]
    num_classes: int
    subdivision: int

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        """Least squares in closed form, on the same number of tokens of each study; the penalty grows with them."""
        rng = np.random.default_rng(seed)
        tokens, labels = zip(*(self._sample(row, rng) for row in rows), strict=True)
        known, cells = np.concatenate(tokens), np.concatenate(labels)
        linear = fit_cells(known, cells, num_classes=self.num_classes, penalty=penalty * len(known), balance=BALANCE)
        if held_out is None:
            return Fitted(linear.tensors)
        dices = self.scores(linear.tensors, held_out)[:, 0]
        told = dices[np.isfinite(dices)]
        return Fitted(linear.tensors, held_out_loss=1.0 - float(told.mean()) if len(told) else 1.0)

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        """(n, 2): Dice and HD95 of each study, means over the classes that either shows; nan where there is none."""
        linear = Linear(tensors["weight"], tensors["bias"])
        return np.array([self._overlap(row, linear) for row in rows])

    def _sample(self, row: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        features = self.features(row)
        cells = cell_labels(self.label_map(row), features.geometry, self.subdivision).reshape(-1, self.subdivision**2)
        chosen = rng.choice(len(cells), min(len(cells), TOKENS_FROM_EACH_STUDY), replace=False)
        return features.tokens[:].reshape(len(cells), -1)[chosen], cells[chosen]

    def _overlap(self, row: int, linear: Linear) -> tuple[float, float]:
        true = self.label_map(row)
        predicted = strongest_class(cell_evidence(self.features(row), linear, self.subdivision), true.geometry)
        pairs = [(predicted == number, true.array == number) for number in range(1, self.num_classes + 1)]
        found = [(dice(*pair), hd95(*pair, true.geometry.spacing)) for pair in pairs if pair[0].any() or pair[1].any()]
        if not found:
            return float("nan"), float("nan")
        dices, distances = np.array(found).T
        return float(dices.mean()), float(np.nanmean(distances)) if np.isfinite(distances).any() else float("nan")
