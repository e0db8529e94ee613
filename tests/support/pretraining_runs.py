"""Runs of pre-training on slices held in memory."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from slice_cases import body_slice, tiny_config
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.engine import RunData

SLICES = 16

LOW = {"name": "low", "steps": 6, "global_size": 16, "local_size": 8}
HIGH = {"name": "high", "steps": 4, "global_size": 32, "local_size": 16, "lr_factor": 0.5}


def run_config(**tables: Any) -> PretrainingConfig:
    """Two stages of 6 and 4 steps, the second at twice the resolution."""
    small: dict[str, Any] = {
        "data": {"shards": "none", "batch_size": 4},
        "crops": {"num_local": 1},
        "stages": [LOW, HIGH],
        "run": {"precision": "fp32", "checkpoint_every": 2, "log_every": 1, "drop_path": 0.2},
        "optimiser": {"warmup": 0.0, "lr": 1e-2},
    }
    stages = tables.pop("stages", small.pop("stages"))
    return tiny_config(**{name: small.get(name, {}) | tables.get(name, {}) for name in small | tables}, stages=stages)


def labelled_slices() -> list[SliceSample]:
    """Wide bodies are "abdomen", small round ones "head"; one slice a patient."""
    slices = []
    for number in range(SLICES):
        region, radii = ("abdomen", (20, 50)) if number % 2 else ("head", (24, 24))
        sample = body_slice((96, 128), centre=(48, 64), radii=radii, seed=number)
        slices.append(replace(sample, region=region, patient=f"patient {number // 2}", key=str(number)))
    return slices


class MemoryBatches:
    """Every process takes its own part of a shuffled list, over and over."""

    def __init__(self, config: PretrainingConfig, rank: int, world: int, state: Mapping[str, object] | None) -> None:
        self._slices = labelled_slices()[rank::world]
        self._size, self._seed = config.data.batch_size, config.data.seed
        self._taken = int(str(state["taken"])) if state else 0

    def __next__(self) -> list[SliceSample]:
        batch = []
        for _ in range(self._size):
            epoch, place = divmod(self._taken, len(self._slices))
            order = np.random.default_rng((self._seed, epoch)).permutation(len(self._slices))
            batch.append(self._slices[order[place]])
            self._taken += 1
        return batch

    def state(self) -> Mapping[str, object]:
        return {"taken": self._taken}


def memory_data(**more: Any) -> RunData:
    return RunData(MemoryBatches, **more)
