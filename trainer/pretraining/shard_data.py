"""The engine's view of the shards: each process's batches, and the labelled slices of the probes."""

from collections.abc import Mapping
from itertools import islice

from trainer.pretraining.augmentations.augmentation import IntensityAndPlacing
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.engine import RunData
from trainer.pretraining.loader import LoaderState, iterate_batches
from trainer.pretraining.samples import SliceSample
from trainer.pretraining.shards import read_shards

PROBED_SLICES = 2000
"""Validation slices that the probes look at, the same at every probe."""


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
    validation = [] if pattern is None else list(islice(read_shards(pattern), PROBED_SLICES))
    return RunData(ShardBatches, validation, IntensityAndPlacing(config.augmentation))
