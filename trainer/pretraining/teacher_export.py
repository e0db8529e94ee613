"""The teacher of a run's last checkpoint as a snapshot that the application and transformers load."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from operators.domain.features import EncoderInputSettings
from trainer.export.model_folder import write_snapshot
from trainer.pretraining.checkpoints import TrainingCheckpointError, find_checkpoints, read_record
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.engine import CHECKPOINTS, read_student_and_teacher

TEACHER = "teacher.encoder.vit."


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A run's teacher encoder.

    config : with the sizes of the stage that the checkpoint is of
    state : tensors under timm's names
    """

    config: PretrainingConfig
    state: dict[str, Tensor]


def read_teacher(run: Path) -> Teacher:
    """The teacher of the last whole checkpoint. Needs a process group (`processes.join_processes`).

    Raises
    ------
    TrainingCheckpointError
        The run has no whole checkpoint.
    """
    found = find_checkpoints(run / CHECKPOINTS)
    if not found:
        raise TrainingCheckpointError(f"{run}: expected a run with a whole checkpoint below {CHECKPOINTS}/, found none")
    record = read_record(found[-1])
    config = record.config.at_stage(record.config.stages[record.stage])
    state = read_student_and_teacher(found[-1], config)
    teacher = {name.removeprefix(TEACHER): tensor for name, tensor in state.items() if name.startswith(TEACHER)}
    return Teacher(config, teacher)


def export_teacher(run: Path, folder: Path, *, dtype: torch.dtype = torch.float16) -> str:
    """Write `read_teacher`'s as a snapshot; the weights' SHA-256."""
    teacher = read_teacher(run)
    settings = EncoderInputSettings(image_size=teacher.config.crops.global_size)
    return write_snapshot(teacher.state, teacher.config.encoder_config, settings, folder, dtype=dtype)
