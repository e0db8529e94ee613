"""What changes from step to step, as arrays over one stage; every stage runs through its schedules anew.

DINOv2 adapts to high resolution so: the schedules of the whole training, compressed, at a lower learning rate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.pretraining.config import PretrainingConfig, StageSettings

Schedule = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StepSettings:
    """One step's.

    step : since the stage began; also the seed of SIGReg's directions
    prototype_lr : of the heads' prototypes, 0 while they are frozen
    """

    step: int
    lr: float
    prototype_lr: float
    weight_decay: float
    momentum: float
    teacher_temperature: float


@dataclass(frozen=True, slots=True, eq=False)
class Schedules:
    """(steps,) each."""

    lr: Schedule
    prototype_lr: Schedule
    weight_decay: Schedule
    momentum: Schedule
    teacher_temperature: Schedule

    def at(self, step: int) -> StepSettings:
        return StepSettings(
            step,
            float(self.lr[step]),
            float(self.prototype_lr[step]),
            float(self.weight_decay[step]),
            float(self.momentum[step]),
            float(self.teacher_temperature[step]),
        )


def build_schedules(config: PretrainingConfig, stage: StageSettings, *, global_batch_size: int) -> Schedules:
    """All schedules of a stage; *global_batch_size* is the slices of all processes in one step."""
    optimiser, losses, steps = config.optimiser, config.losses, stage.steps
    peak = optimiser.lr * stage.lr_factor * (global_batch_size / optimiser.batch_reference) ** 0.5
    rise = linear(0.0, peak, _part(optimiser.warmup, steps))
    lr = np.concatenate([rise, cosine(peak, min(optimiser.min_lr, peak), steps - len(rise))])
    frozen = np.arange(steps) < _part(optimiser.frozen_prototypes, steps)
    start, end = losses.teacher_temperature
    warming = linear(start, end, _part(losses.teacher_temperature_warmup, steps))
    return Schedules(
        lr,
        np.where(frozen, 0.0, lr),
        cosine(*optimiser.weight_decay, steps),
        cosine(*optimiser.momentum, steps),
        np.concatenate([warming, np.full(steps - len(warming), end)]),
    )


def linear(start: float, end: float, steps: int) -> Schedule:
    """Values from *start* in equal steps; *end* is what would come next."""
    return start + (end - start) * np.arange(steps) / max(steps, 1)


def cosine(start: float, end: float, steps: int) -> Schedule:
    """Half a cosine from *start*; *end* is what would come next."""
    return end + (start - end) * 0.5 * (1.0 + np.cos(np.pi * np.arange(steps) / max(steps, 1)))


def _part(share: float, steps: int) -> int:
    return round(share * steps)
