from pathlib import Path

import pytest

from trainer.pretraining.commands import DIVERGED, STOPPED
from trainer.pretraining.slurm import queue_again_if_stopped


@pytest.mark.parametrize(("code", "asked"), [(0, ""), (DIVERGED, ""), (STOPPED, "requeue 4711\n")])
def test_only_a_run_that_was_stopped_goes_back_into_the_queue(
    code: int, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm's own command is a script that writes down what it is asked for."""
    record = tmp_path / "record"
    record.touch()
    command = tmp_path / "scontrol"
    command.write_text(f'#!/bin/sh\necho "$@" >> {record}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    queue_again_if_stopped(code)
    assert record.read_text() == asked
