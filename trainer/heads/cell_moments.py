"""Sums over tokens from which a linear map to the classes of their cells is solved.

Sums of several groups of patients are added, so that a fit without one of them costs no pass over the tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from operators.heads.linear import Linear

BLOCK = 4096
"""Tokens at a time: within a block sums are float32, between blocks float64."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CellMoments:
    """Sums over the tokens of each class, which is that of most of a token's cells; 0 is background.

    origin : (F,) near the features' mean, from which they are counted, so that little is lost to rounding
    counts : (classes,)
    features : (classes, F) sums; squares : (classes, F, F) sums of outer products
    targets : (classes, T) sums of the cells' classes as 0 and 1, T over class and cell
    products : (classes, F, T) sums of outer products
    """

    origin: NDArray[np.float32]
    counts: Floats
    features: Floats
    squares: Floats
    targets: Floats
    products: Floats

    @classmethod
    def of(
        cls, features: NDArray[np.floating], labels: NDArray[np.uint8], *, num_classes: int, origin: NDArray[np.float32]
    ) -> Self:
        """The moments of one group of tokens.

        features : (n, F)
        labels : (n, cells), 0 for background, 1 .. num_classes else
        """
        classes, width, outputs = num_classes + 1, features.shape[1], (num_classes + 1) * labels.shape[1]
        found = cls(
            origin,
            np.zeros(classes),
            np.zeros((classes, width)),
            np.zeros((classes, width, width)),
            np.zeros((classes, outputs)),
            np.zeros((classes, width, outputs)),
        )
        one_hot = np.stack([labels == number for number in range(classes)], axis=1)
        majority = one_hot.sum(axis=2).argmax(axis=1)
        for number in range(classes):
            places = np.flatnonzero(majority == number)
            for start in range(0, len(places), BLOCK):
                block = places[start : start + BLOCK]
                x = features[block].astype(np.float32) - origin
                y = one_hot[block].reshape(len(block), outputs).astype(np.float32)
                found.counts[number] += len(block)
                found.features[number] += x.sum(axis=0, dtype=np.float64)
                found.squares[number] += x.T @ x
                found.targets[number] += y.sum(axis=0, dtype=np.float64)
                found.products[number] += x.T @ y
        return found

    def fit(self, *, penalty: float, balance: float) -> Linear:
        """Ridge regression of the standardised features, in closed form.

        Background's read-out is subtracted from the others, so that a class wins where its evidence is above 0.

        balance : 0 weighs every token the same, 1 every class; between the two by geometric mean
        """
        total = self.counts.sum()
        weights = (1.0 / self.counts.clip(min=1)) ** balance
        weights *= total / (weights @ self.counts)
        mean = self.features.sum(axis=0) / total
        variance = np.einsum("cff->f", self.squares) / total - mean**2
        scale = np.sqrt(variance.clip(min=0))
        scale[scale < 1e-6] = 1.0

        centre, middle = weights @ self.features / total, weights @ self.targets / total
        squares = np.tensordot(weights, self.squares, 1) - total * np.outer(centre, centre)
        products = np.tensordot(weights, self.products, 1) - total * np.outer(centre, middle)
        penalised = squares / np.outer(scale, scale) + penalty * np.eye(len(scale))
        read_out = np.linalg.solve(penalised, products / scale[:, None]) / scale[:, None]

        classes = len(self.counts)
        weight = read_out.T.reshape(classes, -1, len(scale))
        bias = (middle - (centre + self.origin) @ read_out).reshape(classes, -1)
        weight, bias = weight[1:] - weight[0], bias[1:] - bias[0]
        return Linear(weight.reshape(-1, len(scale)).astype(np.float32), bias.reshape(-1).astype(np.float32))


def added(moments: Sequence[CellMoments]) -> CellMoments:
    """The moments of all groups' tokens together; they are counted from one origin."""
    return CellMoments(
        moments[0].origin,
        *(
            np.sum([getattr(group, name) for group in moments], axis=0)
            for name in ("counts", "features", "squares", "targets", "products")
        ),
    )
