"""In which order a process reads its slices: a function of seed, epoch, rank and world, with three numbers for a place.

An epoch is a permutation of all shards; each process has every world-th of them. A few neighbours in its list are a
window, whose slices are shuffled together. So nothing has to be replayed, and nothing larger than a window be
remembered, to go on at any place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Place:
    """The next slice: its epoch, the window within the epoch, and its number within the window."""

    epoch: int = 0
    window: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """The order in which one process reads slices.

    rank, world : this process, and how many there are

    Raises
    ------
    ValueError
        When there are fewer shards than processes.
    """

    shards: Sequence[Path]
    seed: int
    rank: int
    world: int
    window_shards: int

    def __post_init__(self) -> None:
        if len(self.shards) < self.world:
            raise ValueError(
                f"data.shards: expected a shard for each of {self.world} processes, found {len(self.shards)}; "
                "ingest with a smaller --shard-mib"
            )

    def windows(self, start: Place) -> Iterator[tuple[Place, list[Path]]]:
        """Windows from *start*'s on, without end; the place of each one's first slice, and its shards."""
        epoch, window = start.epoch, start.window
        while True:
            mine = self._shards_of(epoch)
            for first in range(window * self.window_shards, len(mine), self.window_shards):
                yield Place(epoch, first // self.window_shards), mine[first : first + self.window_shards]
            epoch, window = epoch + 1, 0

    def shuffled(self, place: Place, num_samples: int) -> NDArray[np.int64]:
        """The permutation of a window's slices."""
        return self._generator(place.epoch, self.rank + 1, place.window).permutation(num_samples)

    def _shards_of(self, epoch: int) -> list[Path]:
        # Every process draws the same permutation, so that their lists are disjoint.
        order = self._generator(epoch, 0, 0).permutation(len(self.shards))
        return [self.shards[number] for number in order[self.rank :: self.world]]

    def _generator(self, *words: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *words])
