"""``python -m trainer pretrain``, ``export`` and ``plot``."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from trainer.pretraining.checkpoints import TrainingCheckpointError
from trainer.pretraining.config import read_config
from trainer.pretraining.processes import join_processes
from trainer.pretraining.run import RESOURCES, SETTINGS, complain, run_here
from trainer.pretraining.slurm import submit
from trainer.pretraining.teacher_export import export_teacher
from trainer.pretraining.watching.metrics_log import METRICS

Run = Annotated[Path, typer.Argument(help="Folder of a run.", exists=True, file_okay=False)]


def pretrain_command(
    config: Annotated[
        Path, typer.Option(help="Settings, TOML; trainer/pretraining/configs holds some.", dir_okay=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run. A run that is there already goes on.")],
    slurm: Annotated[bool, typer.Option("--slurm", help="Submit as a Slurm job instead (needs submitit).")] = False,
    nodes: Annotated[int, typer.Option(help="Machines of the Slurm job.", min=1)] = 1,
    gpus: Annotated[int, typer.Option(help="GPUs of each machine of the Slurm job.", min=1)] = 8,
    hours: Annotated[int, typer.Option(help="Time limit of the Slurm job.", min=1)] = 24,
) -> None:
    """Train the encoder on slices without labels: one process, or started by torchrun."""
    if slurm:
        try:
            read_config(config)
            typer.echo(submit(config, out, nodes=nodes, gpus=gpus, hours=hours))
        except (ValueError, FileNotFoundError) as error:
            raise typer.Exit(complain(error, SETTINGS)) from error
        return
    raise typer.Exit(run_here(config, out))


def export_command(
    run: Run,
    out: Annotated[Path, typer.Option(help="Snapshot folder to write.")],
    float32: Annotated[bool, typer.Option("--float32", help="Full precision instead of half.")] = False,
) -> None:
    """Write the teacher as a Hugging Face snapshot; prints the weights' SHA-256."""
    with join_processes():
        try:
            typer.echo(export_teacher(run, out, dtype=torch.float32 if float32 else torch.float16))
        except TrainingCheckpointError as error:
            raise typer.Exit(complain(error, RESOURCES)) from error


def plot_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("run.png"),
) -> None:
    """Draw loss, probes and throughput of a run, and scaling over several."""
    # Only this command draws; the others run where matplotlib is not installed.
    from trainer.pretraining.plot import draw_runs

    for run in runs:
        if not (run / METRICS).exists():
            reason = f"{run}: expected a run's {METRICS}, found none; name the folder that `pretrain --out` was given"
            raise typer.Exit(complain(ValueError(reason), SETTINGS))
    try:
        draw_runs(runs, out)
    except (ValueError, OSError) as error:
        raise typer.Exit(complain(ValueError(f"--out {out}: {error}"), SETTINGS)) from error
    typer.echo(out)
