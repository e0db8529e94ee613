"""The engine's view of the shards: each process's batches, and the labelled slices of the probes."""

import logging
from collections.abc import Iterator, Mapping
from glob import glob
from pathlib import Path

import numpy as np

from trainer.pretraining.augmentations.augmentation import IntensityAndPlacing
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.loader import LoaderState, iterate_batches
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.data.shards import DamagedShardError, index_shard, read_slice
from trainer.pretraining.engine import RunData

PROBED_SLICES = 2000
PROBED_SHARDS = 200
"""Validation slices that the probes look at, the same at every probe, and the shards that they are taken from. Both at
most, and evenly from all there are: neighbours show the same patient."""

_log = logging.getLogger(__name__)


class ShardBatches:
    """One process's batches from the shards, from the state that an earlier one told."""

    def __init__(self, config: PretrainingConfig, rank: int, world: int, state: Mapping[str, object] | None) -> None:
        self._state = LoaderState() if state is None else LoaderState.from_state_dict(dict(state))
        self._batches = iterate_batches(config, rank, world, self._state)

    def __next__(self) -> list[SliceSample]:
        return next(self._batches)

    def state(self) -> Mapping[str, object]:
        return self._state.state_dict()


def open_shards(config: PretrainingConfig) -> RunData:
    pattern = config.data.validation_shards
    validation = [] if pattern is None else list(read_probed(pattern))
    return RunData(ShardBatches, validation, IntensityAndPlacing(config.augmentation))


def read_probed(pattern: str) -> Iterator[SliceSample]:
    """Slices from all over the shards that *pattern* names; none where it names none. What is damaged is left out."""
    paths = sorted(map(Path, glob(pattern)))
    chosen = _evenly(len(paths), PROBED_SHARDS)
    for place in chosen:
        try:
            index = index_shard(paths[place])
        except DamagedShardError as error:
            _log.warning("%s; the probes go without it", error)
            continue
        for number in _evenly(len(index), PROBED_SLICES // len(chosen)):
            try:
                yield read_slice(index, number)
            except DamagedShardError as error:
                _log.warning("%s; the probes go without it", error)


def _evenly(count: int, wanted: int) -> list[int]:
    """Places among *count*, as many as wanted or all."""
    places: list[int] = np.linspace(0, count, min(count, wanted), endpoint=False).astype(int).tolist()
    return places
