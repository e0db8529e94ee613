"""The teacher of a run's last checkpoint as a snapshot that the application and transformers load."""

from pathlib import Path

import torch

from operators.domain.features import EncoderInputSettings
from trainer.export.model_folder import write_snapshot
from trainer.pretraining.checkpoints import CheckpointError, find_checkpoints, read_record
from trainer.pretraining.engine import CHECKPOINTS, read_model

TEACHER = "teacher.encoder.vit."


def export_teacher(run: Path, folder: Path, *, dtype: torch.dtype = torch.float16) -> str:
    """The weights' SHA-256. Needs a process group (`processes.join_processes`).

    Raises
    ------
    CheckpointError
        The run has no whole checkpoint.
    """
    found = find_checkpoints(run / CHECKPOINTS)
    if not found:
        raise CheckpointError(f"{run}: expected a run with a whole checkpoint below {CHECKPOINTS}/, found none")
    record = read_record(found[-1])
    config = record.config.at_stage(record.config.stages[record.stage])
    state = read_model(found[-1], config)
    teacher = {name.removeprefix(TEACHER): tensor for name, tensor in state.items() if name.startswith(TEACHER)}
    settings = EncoderInputSettings(image_size=config.crops.global_size)
    return write_snapshot(teacher, config.encoder_config, settings, folder, dtype=dtype)
