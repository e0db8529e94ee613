"""Slices with what somebody outlined in them, as decoders are fitted to them."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 255
"""Class of cells of which nobody knows what they show; they count for nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedSlices:
    """Slices with what is to be outlined in them.

    tokens : (n, N, D), any float type
    images : (n, P, P), what the encoder saw, or that averaged to the decoder's finest grid
    classes : (n, G, G) uint8, 0 for background, `UNKNOWN` for what does not count, on that grid, G = 2 ** levels *
        sqrt(N)
    people : (n,) names, whose each slice is
    """

    tokens: NDArray[Any]
    images: NDArray[Any]
    classes: NDArray[np.uint8]
    people: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(n,) whether there is anything to outline."""
        known = (self.classes > 0) & (self.classes != UNKNOWN)
        return np.asarray(known.reshape(len(self), -1).any(axis=1))

    def only(self, chosen: NDArray[Any]) -> "OutlinedSlices":
        """Those at the places *chosen*."""
        return OutlinedSlices(self.tokens[chosen], self.images[chosen], self.classes[chosen], self.people[chosen])


class SliceSource(Protocol):
    """Slices that need not be in memory together."""

    def __len__(self) -> int: ...

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(n,) whether there is anything to outline."""

    @property
    def people(self) -> NDArray[np.str_]:
        """(n,) names, whose each slice is."""

    def only(self, chosen: NDArray[Any]) -> OutlinedSlices:
        """Those at the places *chosen*."""
