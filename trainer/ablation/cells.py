"""Training one cell in a process of its own, and reading its teacher back."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from operators.encoder.vision_transformer import interpolate_positions
from trainer.ablation.plan import Cell
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.engine import last_record, pretrain
from trainer.pretraining.model.masked_encoder import MaskedEncoder
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.processes import join_processes
from trainer.pretraining.shard_data import open_shards
from trainer.pretraining.teacher_export import read_teacher
from trainer.pretraining.watching.metrics_log import JsonLines


def train_cell(cell: Cell, folder: Path) -> None:
    """Train the cell from its beginning, or from the last checkpoint in *folder*.

    A process of its own gives all memory back; libraries are read once for all of them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(_train, cell.config, folder).result()


def teacher_of(folder: Path, *, image_size: int) -> Callable[[Tensor], Tensor]:
    """(n, 1, S, S) to (n, 1 + N, D) of the run's last teacher, its position table on the grid of *image_size*."""
    with join_processes():
        teacher = read_teacher(folder)
    return _encode_with(teacher.config, teacher.state, image_size)


def untrained(config: PretrainingConfig, *, image_size: int) -> Callable[[Tensor], Tensor]:
    """The encoder with the weights that a cell begins with."""
    return _encode_with(config, StudentTeacher(config).teacher_encoder_state(), image_size)


def _encode_with(config: PretrainingConfig, state: dict[str, Tensor], image_size: int) -> Callable[[Tensor], Tensor]:
    sized = config.model.encoder_config(image_size)
    encoder = MaskedEncoder(sized, drop_path=0.0, checkpointing=False).eval()
    table = interpolate_positions(state["pos_embed"], sized.grid_size)
    encoder.vit.load_state_dict(state | {"pos_embed": table})

    @torch.no_grad()
    def encode(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=config.run.precision == "bf16"):
            tokens: Tensor = encoder(images)
        return tokens

    return encode


def _train(config: PretrainingConfig, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record = last_record(folder)
    log = JsonLines(folder, last_step=record.total if record else 0)
    with join_processes() as processes:
        pretrain(config, folder, open_shards(config), processes, [log])
