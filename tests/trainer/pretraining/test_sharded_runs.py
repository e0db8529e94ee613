"""Two processes with their shards of the model against one process with all of it; and a process that dies."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch.distributed.tensor import DTensor
from torch.multiprocessing.spawn import ProcessExitedException

from pretraining_runs import MemoryBatches, memory_data, run_config
from slice_cases import joined_batch, part_of, tiny_config
from trainer.pretraining.checkpoints import find_checkpoints
from trainer.pretraining.engine import Ending, RunData, last_record, pretrain, read_student_and_teacher
from trainer.pretraining.learner import Learner
from trainer.pretraining.processes import Processes, join_processes
from trainer.pretraining.schedules import build_schedules

RANKS = 2
STEPS = 3
CONFIG = tiny_config(masking={"probability": 1.0}, run={"precision": "fp32"}, optimiser={"lr": 1e-2})


class DiesInTheSecondStage(MemoryBatches):
    """Its process ends without a word, as one that is out of memory does."""

    def __init__(self, *opened: Any) -> None:
        super().__init__(*opened)
        if opened[-1] is not None:
            os._exit(9)


def three_steps(processes: Processes) -> tuple[dict[str, np.ndarray], list[float]]:
    learner = Learner(CONFIG, processes)
    schedules = build_schedules(CONFIG, CONFIG.stages[0], global_batch_size=4)
    batch = joined_batch(CONFIG)
    if processes.world > 1:
        batch = part_of(batch, processes.rank)
    norms = [learner.step(batch, schedules.at(20 + step)).gradient_norm for step in range(STEPS)]
    state = learner.model.state_dict()
    whole = {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in state.items()}
    return {name: value.numpy() for name, value in whole.items()}, norms


def join(rank: int, port: int) -> None:
    torch.set_num_threads(1)
    given = {"RANK": rank, "WORLD_SIZE": RANKS, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in given.items()})


def fail(rank: int, port: int) -> None:
    join(rank, port)
    with pytest.raises(ZeroDivisionError), join_processes(on_gpu=False):
        raise ZeroDivisionError
    assert torch.distributed.is_initialized()


def work(rank: int, port: int, out: str) -> None:
    join(rank, port)
    with join_processes(on_gpu=False) as processes:
        state, norms = three_steps(processes)
        if processes.leads:
            np.savez(Path(out) / "state.npz", norms=norms, **state)
        assert pretrain(run_config(), Path(out) / "run", memory_data(), processes) is Ending.FINISHED
        pretrain(run_config(), Path(out) / "cut", RunData(DiesInTheSecondStage if rank else MemoryBatches), processes)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def alone() -> Iterator[Processes]:
    torch.set_num_threads(1)
    with join_processes(on_gpu=False) as processes:
        yield processes


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    with pytest.raises(ProcessExitedException, match="exit code 9"):
        torch.multiprocessing.spawn(work, args=(free_port(), str(folder)), nprocs=RANKS)
    return folder


def test_shards_learn_what_one_process_learns(sharded: Path, alone: Processes) -> None:
    """Three steps: every parameter of student and teacher, and the gradients' norms."""
    expected, norms = three_steps(alone)
    found = np.load(sharded / "state.npz")
    np.testing.assert_allclose(found["norms"], norms, rtol=1e-4)
    start = three_steps_start(alone)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-5, rtol=1e-3, err_msg=name)
    assert any(not np.allclose(value, start[name], atol=1e-4) for name, value in expected.items())


def three_steps_start(processes: Processes) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in Learner(CONFIG, processes).model.state_dict().items()}


def test_one_process_reads_and_continues_what_two_wrote(sharded: Path, alone: Processes) -> None:
    record = last_record(sharded / "run")
    assert record is not None
    assert (record.world, record.total) == (2, 10)
    found = find_checkpoints(sharded / "run" / "checkpoints")
    assert len(list(found[-1].glob("data-*.json"))) == 2
    model = read_student_and_teacher(found[-1], run_config().at_stage(run_config().stages[1]))
    assert all(tensor.isfinite().all() for tensor in model.values())
    for later in found[1:]:
        shutil.rmtree(later)
    assert pretrain(run_config(), sharded / "run", memory_data(), alone) is Ending.FINISHED


def test_a_process_that_dies_ends_the_run_and_leaves_a_whole_checkpoint(sharded: Path, alone: Processes) -> None:
    record = last_record(sharded / "cut")
    assert record is not None
    assert record.total == 6
    assert pretrain(run_config(), sharded / "cut", memory_data(), alone) is Ending.FINISHED


def test_a_process_that_fails_does_not_wait_for_the_others_to_take_the_group_apart() -> None:
    torch.multiprocessing.spawn(fail, args=(free_port(),), nprocs=RANKS)
