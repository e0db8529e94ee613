from pathlib import Path

import pytest

from trainer.pretraining.run import DIVERGED, STOPPED
from trainer.pretraining.slurm import queue_again_if_stopped, submit


def place_command(folder: Path, name: str, script: str) -> None:
    command = folder / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def test_a_job_asks_for_a_task_for_each_gpu_and_for_sigterm_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm's own commands are scripts; what submitit writes for them is what is looked at."""
    place_command(tmp_path, "srun", "exit 1")
    place_command(tmp_path, "sbatch", f'cp "$1" {tmp_path}/asked\necho "Submitted batch job 4711"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert submit(tmp_path / "run.toml", tmp_path / "run", nodes=4, gpus=8, hours=24) == "4711"

    asked = {line.removeprefix("#SBATCH ") for line in (tmp_path / "asked").read_text().splitlines()}
    assert asked >= {
        "--nodes=4",
        "--ntasks-per-node=8",
        "--gpus-per-node=8",
        "--time=1440",
        "--signal=TERM@120",
        "--requeue",
    }


def test_without_slurm_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"--slurm: found no sbatch and no srun; submit where Slurm is"):
        submit(tmp_path / "run.toml", tmp_path / "run", nodes=1, gpus=1, hours=1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("code", "asked"), [(0, ""), (DIVERGED, ""), (STOPPED, "requeue 4711\n")])
def test_only_a_run_that_was_stopped_goes_back_into_the_queue(
    code: int, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm's own command is a script that writes down what it is asked for."""
    record = tmp_path / "record"
    record.touch()
    place_command(tmp_path, "scontrol", f'echo "$@" >> {record}')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    queue_again_if_stopped(code)
    assert record.read_text() == asked
