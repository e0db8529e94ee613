"""A run as a Slurm job through submitit; the job runs torchrun's environment itself, one task for each GPU."""

import os
import shutil
import subprocess
from pathlib import Path

from trainer.pretraining.run import STOPPED, run_here


def submit(config: Path, out: Path, *, nodes: int, gpus: int, hours: int) -> str:
    """The job's number. A job that is preempted or out of time is queued again and goes on from its checkpoint.

    Raises
    ------
    ValueError
        Without Slurm's commands; submitit would start the processes here instead, and say nothing.
    """
    import submitit

    missing = [command for command in ("sbatch", "srun") if shutil.which(command) is None]
    if missing:
        raise ValueError(
            f"--slurm: found no {' and no '.join(missing)}; submit where Slurm is, or start it by torchrun"
        )
    executor = submitit.AutoExecutor(folder=out / "slurm", cluster="slurm")
    executor.update_parameters(
        nodes=nodes,
        tasks_per_node=gpus,
        gpus_per_node=gpus,
        timeout_min=60 * hours,
        name="pretrain",
        # SIGTERM two minutes before the end: time for a checkpoint.
        slurm_additional_parameters={"signal": "TERM@120", "requeue": True},
    )
    return str(executor.submit(_Task(config.resolve(), out.resolve())).job_id)


class _Task:
    """Called by submitit in every process of the job."""

    def __init__(self, config: Path, out: Path) -> None:
        self.config, self.out = config, out

    def __call__(self) -> int:
        import submitit

        environment = submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
        code = run_here(self.config, self.out)
        if environment.rank == 0:
            queue_again_if_stopped(code)
        return code


def queue_again_if_stopped(code: int) -> None:
    """Put this Slurm job back into the queue after a run that SIGTERM ended; submitit would do so itself if it
    received the signal.
    """
    if code == STOPPED:
        subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=True, timeout=60)
