"""Checkpoints: written while training goes on, whole or not at all, the last few kept.

::

    checkpoints/step-000001000/
      record.json                  where the run stood, and its settings
      data-00000.json              one for each process: where its data stood
      shard-*-model-*.safetensors  one for each process: its part of weights, teacher and moments

Tensors go through torch.distributed.checkpoint, so that another number of processes can read them, in safetensors,
so that nothing in them can run code. Until it is whole, the folder's name ends in `.part`.
"""

import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from torch import Tensor, distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from operators.documents import UNFINISHED
from trainer.pretraining.config import PretrainingConfig

RECORD = "record.json"


class CheckpointRecord(BaseModel):
    """Where a run stands.

    stage, step : the stage's number from 0, and how many of its steps are done
    total : steps done in all stages
    world : processes that wrote it
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: int
    step: int
    total: int
    world: int
    config: PretrainingConfig


class TrainingCheckpointError(Exception):
    """A checkpoint could not be written, or cannot be read."""


class Checkpoints:
    """Those of one run, in *folder*; every process calls the same methods at the same steps."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        self._rank = distributed.get_rank()
        if self._rank == 0:
            for left in folder.glob(f"step-*{UNFINISHED}"):
                shutil.rmtree(left)
        # Of its own: in the training's group, what the writing thread sends would be taken for the training's.
        self._group = distributed.new_group(backend="gloo")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: tuple[str, Future[None]] | None = None

    def save(self, tensors: Mapping[str, Tensor], record: CheckpointRecord, data_state: Mapping[str, object]) -> None:
        """Copies what is to be written and returns; waits first for an earlier one that is still being written."""
        self.wait()
        name = f"step-{record.total:09d}"
        unfinished = self.folder / f"{name}{UNFINISHED}"
        if self._rank == 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            (unfinished / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        distributed.barrier()
        (unfinished / _data_file(self._rank)).write_text(json.dumps(data_state) + "\n", encoding="utf-8")
        writer = HuggingFaceStorageWriter(str(unfinished), save_distributed=True)
        written = async_save(dict(tensors), storage_writer=writer, process_group=self._group)
        assert isinstance(written, Future)
        self._writing = name, self._thread.submit(self._finish, name, written)

    def wait(self) -> None:
        """Wait until the one that is being written is whole and has its name.

        Raises
        ------
        TrainingCheckpointError
            It could not be written.
        """
        if self._writing is None:
            return
        (name, written), self._writing = self._writing, None
        try:
            written.result()
        except (OSError, RuntimeError, CheckpointException) as error:
            raise TrainingCheckpointError(self._lost(name, error)) from error
        distributed.barrier()

    def _finish(self, name: str, written: Future[Any]) -> None:
        written.result()
        if self._rank == 0:
            self._publish(name)

    def _publish(self, name: str) -> None:
        final = self.folder / name
        # Written once already where a run went back to an earlier checkpoint and came by here again.
        shutil.rmtree(final, ignore_errors=True)
        os.replace(self.folder / f"{name}{UNFINISHED}", final)
        for old in find_checkpoints(self.folder)[: -self.keep]:
            shutil.rmtree(old)

    def _lost(self, name: str, error: BaseException) -> str:
        if self._rank == 0:
            shutil.rmtree(self.folder / f"{name}{UNFINISHED}", ignore_errors=True)
        kept = find_checkpoints(self.folder)
        return (
            f"checkpoint {name}: could not be written to {self.folder} ({_cause(error)}); "
            f"{f'the last whole one is {kept[-1].name}' if kept else 'there is none yet'}. "
            "Make room and start the same command again"
        )


def find_checkpoints(folder: Path) -> list[Path]:
    """Whole ones, in the order of their steps."""
    return sorted(path.parent for path in folder.glob(f"step-*/{RECORD}") if path.parent.suffix != UNFINISHED)


def read_record(checkpoint: Path) -> CheckpointRecord:
    return CheckpointRecord.model_validate_json((checkpoint / RECORD).read_text(encoding="utf-8"))


def read_data_state(checkpoint: Path, rank: int) -> dict[str, object]:
    state: dict[str, object] = json.loads((checkpoint / _data_file(rank)).read_text(encoding="utf-8"))
    return state


def fill_tensors(checkpoint: Path, into: dict[str, Tensor]) -> None:
    """Fill *into*, whole tensors or shards of them, in place; what it lacks of the checkpoint stays unread."""
    try:
        load(into, storage_reader=HuggingFaceStorageReader(str(checkpoint)))
    except (OSError, RuntimeError, ValueError, CheckpointException) as error:
        raise TrainingCheckpointError(
            f"checkpoint {checkpoint}: cannot be read ({_cause(error)}); remove it to go on from the one before"
        ) from error


def _data_file(rank: int) -> str:
    return f"data-{rank:05d}.json"


def _cause(error: BaseException) -> str:
    failures = getattr(error, "failures", None)
    if failures:
        first = next(iter(failures.values()))
        error = first[0] if isinstance(first, tuple) else first
    return f"{type(error).__name__}: {error}".splitlines()[0]
