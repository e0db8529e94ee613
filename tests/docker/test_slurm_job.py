"""The Slurm job's script, its commands run with Slurm's own replaced by scripts, and real processes that join."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOB = ROOT / "docker/slurm/pretrain.sbatch"

SRUN = """
for rank in 0 1; do
    SLURM_PROCID=$rank SLURM_LOCALID=$rank SLURM_NTASKS=2 "$@" &
done
worst=0
for task in $(jobs -p); do
    wait "$task" || worst=$?
done
exit "$worst"
"""
JOINED = """
import sys
from pathlib import Path
import torch
from torch import distributed
from trainer.pretraining.processes import join_processes
with join_processes(on_gpu=False) as processes:
    ranks = torch.tensor([processes.rank + 1])
    distributed.all_reduce(ranks)
out = Path(sys.argv[sys.argv.index("--out") + 1], str(processes.rank))
out.write_text(f"{processes.world} {ranks.item()} {sys.argv[1:4]}")
"""


def run_job(folder: Path, trainer: str) -> subprocess.CompletedProcess[str]:
    for name, script in {
        "srun": SRUN,
        "scontrol": f'if [ "$1" = show ]; then echo 127.0.0.1; else echo "$@" >> {folder}/asked; fi\n',
    }.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}")
        (folder / name).chmod(0o755)
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_NODELIST": "127.0.0.1",
        "SLURM_JOB_ID": "4711",
        "TRAINER": trainer,
    }
    command = ["bash", JOB, "a.toml", folder]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_it_asks_slurm_for_a_task_a_gpu_and_for_sigterm_before_the_end() -> None:
    lines = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", JOB.read_text(), flags=re.MULTILINE)
    asked = dict(lines)
    assert len(asked) == len(lines)
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    assert (asked["signal"], asked["requeue"]) == ("TERM@120", "")
    # sbatch reads its directives up to the first command.
    text = JOB.read_text().splitlines()
    first = next(number for number, line in enumerate(text) if line and not line.startswith("#"))
    assert all(number < first for number, line in enumerate(text) if line.startswith("#SBATCH"))


def test_its_tasks_find_one_another_and_are_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "joined.py").write_text(JOINED)
    ended = run_job(tmp_path, f"{sys.executable} {tmp_path}/joined.py")
    assert ended.returncode == 0, ended.stderr
    # Ranks 0 and 1, a one added to each, summed over both.
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["2 3 ['pretrain', '--config', 'a.toml']"] * 2
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(("code", "asked"), [(75, "requeue 4711\n"), (7, "")])
def test_only_a_run_that_was_stopped_goes_back_into_the_queue(tmp_path: Path, code: int, asked: str) -> None:
    (tmp_path / "asked").touch()
    (tmp_path / "ends.sh").write_text(f"exit {code}\n")
    assert run_job(tmp_path, f"bash {tmp_path}/ends.sh").returncode == code
    assert (tmp_path / "asked").read_text() == asked
