"""``python -m trainer pretrain``, ``export`` and ``plot``.

Exit codes of a run: 0 finished, 2 settings, 4 too many damaged shards, 6 a checkpoint could not be written or read, or
the disk took nothing more, 7 diverged, 75 stopped by SIGTERM after a checkpoint (the same command goes on).
"""

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import torch
import typer

from trainer.pretraining.checkpoints import CheckpointError
from trainer.pretraining.config import PretrainingConfig, read_config
from trainer.pretraining.engine import DivergedError, Ending, last_record, pretrain
from trainer.pretraining.folder_lock import only_writer
from trainer.pretraining.metrics_log import METRICS, JsonLines, Listener
from trainer.pretraining.probes import split_by_patient
from trainer.pretraining.processes import Processes, join_processes
from trainer.pretraining.slurm import submit
from trainer.pretraining.teacher_export import export_teacher

SETTINGS, DATA, RESOURCES, DIVERGED, STOPPED = 2, 4, 6, 7, 75

_log = logging.getLogger(__name__)

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
            raise typer.Exit(_complain(error, SETTINGS)) from error
        return
    raise typer.Exit(run_here(config, out))


def run_here(config: Path, out: Path) -> int:
    """Its exit code."""
    from trainer.pretraining.shards import DamagedShardError

    try:
        with join_processes() as processes:
            ending = train_and_tell(read_config(config), out, processes)
    except (ValueError, FileNotFoundError) as error:
        return _complain(error, SETTINGS)
    except DamagedShardError as error:
        return _complain(error, DATA)
    except CheckpointError as error:
        return _complain(error, RESOURCES)
    except DivergedError as error:
        return _complain(error, DIVERGED)
    except OSError as error:
        message = f"{out}: {error}; make room where the disk is full, and start the same command again: it goes on"
        return _complain(OSError(message), RESOURCES)
    return STOPPED if ending is Ending.STOPPED else 0


def export_command(
    run: Run,
    out: Annotated[Path, typer.Option(help="Snapshot folder to write.")],
    float32: Annotated[bool, typer.Option("--float32", help="Full precision instead of half.")] = False,
) -> None:
    """Write the teacher as a Hugging Face snapshot; prints the weights' SHA-256."""
    with join_processes():
        try:
            typer.echo(export_teacher(run, out, dtype=torch.float32 if float32 else torch.float16))
        except CheckpointError as error:
            raise typer.Exit(_complain(error, RESOURCES)) from error


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
            raise typer.Exit(_complain(ValueError(reason), SETTINGS))
    try:
        draw_runs(runs, out)
    except (ValueError, OSError) as error:
        raise typer.Exit(_complain(ValueError(f"--out {out}: {error}"), SETTINGS)) from error
    typer.echo(out)


def train_and_tell(config: PretrainingConfig, out: Path, processes: Processes) -> Ending:
    """Train on the shards that *config* names, with metrics.jsonl, TensorBoard and a bar on the terminal."""
    # Other commands run where TensorBoard is not installed.
    from trainer.pretraining.dashboards import progress_bar, tensorboard
    from trainer.pretraining.shard_data import open_shards

    record = last_record(out)
    last_step = record.total if record else 0
    with ExitStack() as stack:
        listeners: list[Listener] = []
        if processes.leads:
            stack.enter_context(only_writer(out))
            steps = sum(stage.steps for stage in config.stages)
            listeners = [
                JsonLines(out, last_step=last_step),
                stack.enter_context(tensorboard(out, last_step=last_step)),
                stack.enter_context(progress_bar(steps, last_step=last_step)),
            ]
        data = open_shards(config)
        if processes.leads and config.data.validation_shards is not None and not split_by_patient(data.validation):
            _log.warning(
                "data.validation_shards: %s holds %d slices; k-NN and linear probe need two body regions or two "
                "modalities, of several patients, and are left out",
                config.data.validation_shards,
                len(data.validation),
            )
        return pretrain(config, out, data, processes, listeners)


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code
