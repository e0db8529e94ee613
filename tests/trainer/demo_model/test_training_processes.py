"""Trainings in processes of their own: one that fails says why, a stop reaches those that run and those that wait."""

import os
import signal
import time
from pathlib import Path

import pytest

from shard_cases import write_shards
from slice_cases import tiny_config
from trainer.demo_model.training_processes import FailedError, StoppedError, training_processes
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.engine import last_record
from trainer.pretraining.watching.metrics_log import read_metrics

FOR_EVER = 1_000_000
SECONDS = 60.0


def config(shards: str) -> PretrainingConfig:
    return tiny_config(
        data={"batch_size": 4, "workers": 0, "shards": shards},
        stages=[{"name": "only", "steps": FOR_EVER}],
        run={"precision": "fp32", "log_every": 1},
    )


def test_a_training_that_fails_says_what_its_log_says(tmp_path: Path) -> None:
    with training_processes() as trainings:
        failing = trainings.start(config(f"{tmp_path}/nowhere/*.tar"), tmp_path / "run")
        with pytest.raises(FailedError, match=r"exit code 2(.|\n)*nowhere"):
            failing.result()


def test_sigterm_saves_what_runs_and_begins_nothing_more(tmp_path: Path) -> None:
    write_shards(tmp_path, [8])
    running, waiting = tmp_path / "running", tmp_path / "waiting"
    with training_processes(at_a_time=1) as trainings:
        first, second = (trainings.start(config(f"{tmp_path}/train/*.tar"), run) for run in (running, waiting))
        end = time.monotonic() + SECONDS
        while not ((running / "metrics.jsonl").exists() and read_metrics(running)) and time.monotonic() < end:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedError, match="stopped"):
            first.result()
        with pytest.raises(StoppedError, match="not begun"):
            second.result()
    assert last_record(running) is not None
    assert last_record(waiting) is None


def test_trainings_are_stopped_when_what_uses_them_fails(tmp_path: Path) -> None:
    write_shards(tmp_path, [8])
    endings = []

    def use_and_fail() -> None:
        with training_processes() as trainings:
            endings.append(trainings.start(config(f"{tmp_path}/train/*.tar"), tmp_path / "run"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use_and_fail()
    assert isinstance(endings[0].exception(), StoppedError)
