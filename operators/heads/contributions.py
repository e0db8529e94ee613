"""What each token adds to a score: exactly, for heads that are linear or attend.

With attention weights and the norms' deviations held at their values, such a head is an affine function of its tokens.
Each token's contribution is then its product with the score's gradient, and all of them with what no token brings (the
bias, learned queries, the places of slices) add up to the score.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.domain.volume import Volume
from operators.heads.head import FeatureBlock, Needs, SeriesFeatures

Multiplied = Callable[[FeatureBlock], tuple[Tensor, Tensor]]
"""The contributions of a block: (n,) of CLS and (n, N) of the patch tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """What the parts of a series add to a score.

    tokens : on the grid of tokens
    cls : (S,)
    rest : what no token brings
    """

    tokens: Volume
    cls: NDArray[np.float64]
    rest: float

    @property
    def score(self) -> float:
        """That they add up to."""
        return float(self.tokens.array.sum(dtype=np.float64) + self.cls.sum() + self.rest)


def contributions_of(series: SeriesFeatures, needs: Needs, multiplied: Multiplied, *, rest: float) -> Contributions:
    """One more pass over the features, once the factors of each token are known."""
    slices, rows, columns = series.features.geometry.shape
    tokens, cls = np.zeros((slices, rows, columns), np.float32), np.zeros(slices)
    for block in series.blocks(needs):
        of_cls, of_tokens = multiplied(block)
        cls[block.place] = of_cls.cpu().numpy()
        tokens[block.place] = of_tokens.reshape(-1, rows, columns).cpu().numpy()
    return Contributions(Volume(tokens, series.features.geometry), cls, rest)


def gradient(score: Callable[[Tensor], Tensor], features: Tensor) -> tuple[float, Tensor]:
    """A score, and how it changes with each feature; of an affine function of (..., D)."""
    with torch.enable_grad():
        leaf = features.detach().clone().requires_grad_()
        value = score(leaf)
        (slope,) = torch.autograd.grad(value, leaf)
    return float(value.detach()), slope
