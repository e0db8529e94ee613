"""The training itself: stages, resuming, stopping, checkpoints, figures; one function call for every process.

All that is random in a step is seeded by the run's seed, the stage, the step and the process, so that a resumed run
needs only the step number to continue bit for bit.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.pretraining.checkpoints import (
    CheckpointRecord,
    Checkpoints,
    fill_tensors,
    find_checkpoints,
    read_data_state,
    read_record,
)
from trainer.pretraining.collectives import sum_over_ranks
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.learner import Learner, StepResult
from trainer.pretraining.model.position_table import hand_over
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.processes import Processes
from trainer.pretraining.schedules import StepSettings, build_schedules
from trainer.pretraining.throughput import Stopwatch, step_operations
from trainer.pretraining.views.batches import Batches, SampleBatches
from trainer.pretraining.views.crops import Augmentation
from trainer.pretraining.watching.metrics_log import Listener, tell
from trainer.pretraining.watching.probes import probe_figures

CHECKPOINTS = "checkpoints"

_FREE_TO_CHANGE = {
    "run": {"checkpoint_every", "checkpoint_keep", "log_every", "probe_every", "max_skipped"},
    "data": {"shards", "validation_shards", "workers"},
    "guide": {"weights"},
}
"""Settings that may differ when a run goes on: none of them changes what a step computes."""


class Ending(Enum):
    FINISHED = "finished"
    STOPPED = "stopped"


class DivergedError(Exception):
    """Too many steps in a row gave gradients that are not finite."""


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """What a run is fed with.

    open_batches : this process's slices, from the state that they told or, with None, from the beginning
    validation : labelled slices for the probes, the same on every process
    """

    open_batches: Callable[[PretrainingConfig, int, int, Mapping[str, object] | None], SampleBatches]
    validation: Sequence[SliceSample] = ()
    augment: Augmentation | None = None


def pretrain(
    config: PretrainingConfig, out: Path, data: RunData, processes: Processes, listeners: Sequence[Listener] = ()
) -> Ending:
    """Train from the last whole checkpoint below *out*, or from the beginning.

    listeners : of the leading process

    Raises
    ------
    ValueError
        *out* holds a run with other settings.
    DivergedError, TrainingCheckpointError
        The last checkpoint is whole and from before the trouble.
    """
    with _stop_on_signal() as stop:
        return _Run(config, out, data, processes, listeners, stop).train()


def last_record(out: Path) -> CheckpointRecord | None:
    """Where the run in *out* stands; None before its first checkpoint."""
    found = find_checkpoints(out / CHECKPOINTS)
    return read_record(found[-1]) if found else None


class _Run:
    def __init__(
        self,
        config: PretrainingConfig,
        out: Path,
        data: RunData,
        processes: Processes,
        listeners: Sequence[Listener],
        stop: threading.Event,
    ) -> None:
        self.config, self.data, self.processes, self.stop = config, data, processes, stop
        self.listeners = listeners if processes.leads else ()
        self.checkpoints = Checkpoints(out / CHECKPOINTS, keep=config.run.checkpoint_keep)
        self.skipped = 0

    def train(self) -> Ending:
        for index in range(len(self.config.stages)):
            if self._train_stage(index) is Ending.STOPPED:
                return Ending.STOPPED
        return Ending.FINISHED

    def _train_stage(self, index: int) -> Ending:
        stage = self.config.stages[index]
        config = self.config.at_stage(stage)
        found = find_checkpoints(self.checkpoints.folder)
        record = read_record(found[-1]) if found else None
        if record is not None:
            _check_same(record.config, self.config)
            if record.stage > index or (record.stage == index and record.step == stage.steps):
                return Ending.FINISHED
        learner, data_state = self._begin(config, found[-1] if found else None, record, index)
        first = record.step if record is not None and record.stage == index else 0
        return self._train_steps(config, index, first, learner, data_state)

    def _begin(
        self, config: PretrainingConfig, path: Path | None, record: CheckpointRecord | None, index: int
    ) -> tuple[Learner, Mapping[str, object] | None]:
        """The learner as the last checkpoint has it, or as the stage before hands it over."""
        if path is None or record is None:
            return Learner(config, self.processes), None
        # With another number of processes every one begins its part of the data anew.
        kept = record.world == self.processes.world
        data_state = read_data_state(path, self.processes.rank) if kept else None
        if record.stage < index:
            earlier = self.config.at_stage(self.config.stages[record.stage])
            weights = hand_over(read_student_and_teacher(path, earlier), config.encoder_config.grid_size)
            return Learner(config, self.processes, weights=weights), data_state
        learner = Learner(config, self.processes)
        fill_tensors(path, learner.state())
        return learner, data_state

    def _train_steps(
        self,
        config: PretrainingConfig,
        index: int,
        first: int,
        learner: Learner,
        data_state: Mapping[str, object] | None,
    ) -> Ending:
        stage, run, processes = config.stages[index], config.run, self.processes
        before = sum(earlier.steps for earlier in config.stages[:index])
        schedules = build_schedules(config, stage, global_batch_size=config.data.batch_size * processes.world)
        samples = self.data.open_batches(config, processes.rank, processes.world, data_state)
        seed = (run.seed, index, processes.rank)
        watch = Stopwatch(step_operations(config), processes.device)
        with Batches(
            samples, config, seed=seed, first_step=first, device=processes.device, augment=self.data.augment
        ) as batches:
            for step in range(first, stage.steps):
                settings = schedules.at(step)
                with watch.waiting():
                    batch = next(batches)
                torch.manual_seed(_torch_seed(seed, step))
                result = learner.step(batch.crops, settings)
                watch.count(config.data.batch_size)
                done = step + 1
                self._watch_over(result, before + done)
                if done % run.log_every == 0 or done == stage.steps:
                    rejected = batch.crops.rejected / max(batch.crops.tried, 1)
                    figures = self._figures(result, settings) | watch.report(world=processes.world)
                    tell(self.listeners, before + done, stage.name, figures | {"crops_rejected": rejected})
                if done % run.probe_every == 0 or done == stage.steps:
                    tell(self.listeners, before + done, stage.name, self._probe(learner, config))
                # On the host: to ask a GPU would be to wait until the step is done.
                stopping = bool(sum_over_ranks(torch.tensor(float(self.stop.is_set()))))
                if result.finite and (stopping or done == stage.steps or done % run.checkpoint_every == 0):
                    place = CheckpointRecord(
                        stage=index, step=done, total=before + done, world=processes.world, config=self.config
                    )
                    self.checkpoints.save(learner.state(), place, batch.data_state)
                if stopping:
                    break
        self.checkpoints.wait()
        return Ending.STOPPED if stopping else Ending.FINISHED

    def _watch_over(self, result: StepResult, total: int) -> None:
        self.skipped = 0 if result.finite else self.skipped + 1
        if self.skipped > self.config.run.max_skipped:
            self.checkpoints.wait()
            found = find_checkpoints(self.checkpoints.folder)
            raise DivergedError(
                f"step {total}: gradients were not finite in {self.skipped} steps in a row, run.max_skipped is "
                f"{self.config.run.max_skipped}; "
                f"{f'the last checkpoint is {found[-1].name}' if found else 'there is no checkpoint yet'}. "
                "Lower optimiser.lr or lengthen its warmup, or train with run.precision = 'fp32'"
            )

    def _figures(self, result: StepResult, settings: StepSettings) -> dict[str, float]:
        """Losses and signs as means over all processes."""
        scalars = {f"loss/{name}": loss for name, loss in result.losses.items()} | result.signs
        means = sum_over_ranks(torch.stack(list(scalars.values()))) / self.processes.world
        return dict(zip(scalars, means.tolist(), strict=True)) | {
            "gradient_norm": result.gradient_norm,
            "skipped": float(self.skipped),
            "lr": settings.lr,
            "weight_decay": settings.weight_decay,
            "momentum": settings.momentum,
            "teacher_temperature": settings.teacher_temperature,
        }

    def _probe(self, learner: Learner, config: PretrainingConfig) -> dict[str, float]:
        """On every process, since a sharded teacher needs them all."""

        @torch.no_grad()
        def encode(images: Tensor) -> Tensor:
            with torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.half_precision):
                tokens: Tensor = learner.model.teacher.encoder(images.to(learner.device))
            return tokens

        return probe_figures(encode, self.data.validation, config.crops.global_size)


def read_student_and_teacher(checkpoint: Path, config: PretrainingConfig) -> dict[str, Tensor]:
    """Student and teacher, whole, on the CPU.

    config : with the sizes of the checkpoint's stage in [crops]
    """
    state = StudentTeacher(config).state_dict()
    fill_tensors(checkpoint, {f"model.{name}": tensor for name, tensor in state.items()})
    return state


def _torch_seed(seed: tuple[int, ...], step: int) -> int:
    return int(np.random.SeedSequence((*seed, step)).generate_state(1)[0])


def _check_same(kept: PretrainingConfig, given: PretrainingConfig) -> None:
    old, new = (_flat(config.model_dump(exclude=_FREE_TO_CHANGE)) for config in (kept, given))
    differing = [
        f"{name} was {old.get(name)}, is {new.get(name)}"
        for name in sorted(old | new)
        if old.get(name) != new.get(name)
    ]
    if differing:
        raise ValueError(f"the run was begun with other settings: {'; '.join(differing)}. Choose another --out")


def _flat(record: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in record.items():
        if name == "stages" and isinstance(value, tuple):
            value = {str(number): stage for number, stage in enumerate(value, start=1)}
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Set by SIGTERM, which Slurm and torchrun send before they take the machine away."""
    stop = threading.Event()
    earlier = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, earlier)
