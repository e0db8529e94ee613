"""Batches of slices from shards: in a known order, decoded ahead by threads, to be continued at the exact slice.

Threads serve, because reading, inflating and checking a slice happens outside Python's lock.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.sample_order import Place, SampleOrder
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.data.shards import DamagedShardError, ShardIndex, index_shard, list_shards, read_slice

BATCHES_AHEAD = 4

T = TypeVar("T")

_log = logging.getLogger(__name__)

Task = tuple[Place, ShardIndex, int]
"""The place of a slice, and where it lies."""

Decoding = tuple[Place, Callable[[], SliceSample]]
"""The place of a slice, and what waits for it."""


@dataclass(slots=True)
class LoaderState:
    """Where the next batch begins, kept up to date by the loader; what a checkpoint needs to go on with the data.

    damaged : shards and slices skipped so far, by name
    wait_seconds : that callers waited for batches, in this process only
    """

    place: Place = field(default_factory=Place)
    damaged: set[str] = field(default_factory=set)
    wait_seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The state in numbers and text, so that JSON takes it."""
        return {**asdict(self.place), "damaged": sorted(self.damaged)}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Self:
        return cls(Place(state["epoch"], state["window"], state["number"]), set(state["damaged"]))


def iterate_batches(
    config: PretrainingConfig, rank: int, world: int, state: LoaderState
) -> Iterator[list[SliceSample]]:
    """Batches of ``data.batch_size`` slices without end, from *state* on.

    After each batch *state* is the one to save with a checkpoint: whoever begins with it gets the next batch, whatever
    was decoded ahead. A shard or slice that is damaged is skipped with a warning, and counted.

    Raises
    ------
    ValueError
        When there are fewer shards than processes, or no slice in any.
    DamagedShardError
        When more than ``data.max_damaged`` shards and slices were skipped.
    """
    data = config.data
    order = SampleOrder(list_shards(data.shards), data.seed, rank, world, data.shuffle_shards)
    damage = _DamageLog(data.max_damaged, state.damaged)
    tasks = _tasks(order, state.place, damage)
    decoding = _decoding(tasks, workers=data.workers, ahead=BATCHES_AHEAD * data.batch_size)
    samples = _decoded(decoding, damage)
    while True:
        start = time.perf_counter()
        taken = list(islice(samples, data.batch_size))
        state.wait_seconds += time.perf_counter() - start
        last = taken[-1][0]
        state.place = replace(last, number=last.number + 1)
        yield [sample for _, sample in taken]


def _tasks(order: SampleOrder, start: Place, damage: "_DamageLog") -> Iterator[Task]:
    """Slices in order; the next window's shards are indexed while this one's slices are read."""
    with ThreadPoolExecutor(1, "shard-index") as indexing:
        windows = order.windows(start)
        coming: deque[tuple[Place, list[tuple[Path, Future[ShardIndex]]]]] = deque()
        skip, fruitless = start.number, 0
        while fruitless <= len(order.shards):
            while len(coming) < 2:
                place, paths = next(windows)
                coming.append((place, [(path, indexing.submit(index_shard, path)) for path in paths]))
            place, futures = coming.popleft()
            indices = [index for _, future in futures if (index := damage.survive(future.result)) is not None]
            fruitless = 0 if any(map(len, indices)) else fruitless + 1
            yield from _shuffled(order, place, indices, skip)
            skip = 0
        raise ValueError("data.shards: no slice in any shard of this process; run `python -m trainer ingest` again")


def _shuffled(order: SampleOrder, place: Place, indices: list[ShardIndex], skip: int) -> Iterator[Task]:
    """A window's slices from number *skip* on."""
    ends = np.cumsum([len(index) for index in indices], dtype=np.int64)
    shuffled = order.shuffled(place, int(ends[-1]) if len(ends) else 0)
    for number in range(skip, len(shuffled)):
        shard = int(np.searchsorted(ends, shuffled[number], side="right"))
        first = ends[shard] - len(indices[shard])
        yield replace(place, number=number), indices[shard], int(shuffled[number] - first)


def _decoded(waiting: Iterator[Decoding], damage: "_DamageLog") -> Iterator[tuple[Place, SliceSample]]:
    for place, get in waiting:
        sample = damage.survive(get)
        if sample is not None:
            damage.end_row()
            yield place, sample


def _decoding(tasks: Iterator[Task], *, workers: int, ahead: int) -> Iterator[Decoding]:
    """Decodes tasks in their order; with workers, *ahead* of them before they are asked for."""
    if not workers:
        for place, index, number in tasks:
            yield place, partial(read_slice, index, number)
        return
    pool = ThreadPoolExecutor(workers, "decode")
    waiting: deque[tuple[Place, Future[SliceSample]]] = deque()
    try:
        for place, index, number in tasks:
            waiting.append((place, pool.submit(read_slice, index, number)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result
    finally:
        # Not waited for: garbage collection may close this in one of the pool's threads, which cannot join itself.
        pool.shutdown(wait=False, cancel_futures=True)


class _DamageLog:
    """Knows what is skipped, and when it is too much."""

    def __init__(self, limit: int, damaged: set[str]) -> None:
        self._limit = limit
        self._damaged = damaged
        self._in_a_row = 0

    def end_row(self) -> None:
        """A slice was read."""
        self._in_a_row = 0

    def survive(self, read: Callable[[], T]) -> T | None:
        """What *read* gives, None where that is damaged."""
        try:
            return read()
        except DamagedShardError as error:
            if error.where not in self._damaged:
                self._damaged.add(error.where)
                _log.warning("%s; it is skipped", error)
            self._in_a_row += 1
            # A small set whose every slice is damaged never reaches the limit, and never gives a batch either.
            if max(len(self._damaged), self._in_a_row) > self._limit:
                raise DamagedShardError(
                    error.where, f"{error.why}; {len(self._damaged)} are damaged, data.max_damaged is {self._limit}"
                ) from error
            return None
