"""The command: arguments to settings, errors to one line and an exit code."""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer
from rich.console import Console

from app import __version__
from app.logs import configure_logs
from app.settings import DEMO_MODEL, Settings
from operators.errors import CuriaError
from operators.study_run.journal import BEFORE, RunJournal, Stage
from operators.study_run.manifest import FILE_NAME, ResultManifest

PIPE_WIDTH = 160


def main() -> None:
    """Entry point of ``python -m app`` and ``curia-app``."""
    typer.run(command)


def command(
    input: Annotated[
        Path | None,
        typer.Option(
            "-i", "--input", envvar="HOLOSCAN_INPUT_PATH", exists=True, help="Folder or zip file with one study."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", envvar="HOLOSCAN_OUTPUT_PATH", file_okay=False, help="Folder for results."),
    ] = None,
    model: Annotated[
        Path,
        typer.Option("-m", "--model", envvar="HOLOSCAN_MODEL_PATH", help="Model folder; default: the embedded one."),
    ] = DEMO_MODEL,
    prior: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="Folder or zip file with an earlier study of the patient; may be given again."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:N, several (cuda:0,cuda:1) or cuda:all.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in a TOML file.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print which series would be chosen and why.")] = False,
    features: Annotated[
        Literal["cls", "tokens"] | None, typer.Option(help="Write features.safetensors as well.")
    ] = None,
    print_schema: Annotated[bool, typer.Option("--print-schema", help="Print the JSON schema of result.json.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Read a CT or MR study with the Curia-2 encoder and its heads; write SEG, SR and result.json.

    Research use only.
    """
    if version:
        typer.echo(__version__)
    elif print_schema:
        typer.echo(json.dumps(ResultManifest.model_json_schema(by_alias=True), indent=2))
    elif explain:
        with errors_as_exit_codes():
            settings = Settings.read(config, device=device, log_level=log_level)
            configure_logs(settings.log_level)
            _explain(_required(input, "--input"), settings)
    else:
        with errors_as_exit_codes():
            settings = Settings.read(config, device=device, log_level=log_level)
            configure_logs(settings.log_level)
            _run(
                _required(input, "--input"),
                _required(output, "--output"),
                model=model,
                prior=tuple(prior or ()),
                features=features,
                settings=settings,
            )


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    try:
        yield
    except CuriaError as error:
        typer.echo(f"{error.code}: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


def _required(path: Path | None, option: str) -> Path:
    if path is None:
        raise typer.BadParameter(f"{option} is required")
    return path


def _explain(source: Path, settings: Settings) -> None:
    from app.series_table import outcome, series_table
    from operators.dicom.selection.series_selection import select_series
    from operators.dicom.study.study_index import check_one_study, index_study, split_studies

    with TemporaryDirectory(prefix="curia-") as scratch, Console(stderr=True).status("reading headers") as status:
        study = index_study(
            source,
            scratch=Path(scratch),
            limits=settings.limits,
            progress=lambda done, total: status.update(f"reading headers: {done} of {total} files"),
        )
        rules = settings.selection.applied()
        decisions = [select_series(part, rules, limits=settings.limits) for part in split_studies(study)]
    # A pipe has no width of its own; wide enough for a reason on one line.
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH)
    console.print(series_table(decisions))
    others = (f"files that are not DICOM, left alone: {study.num_other_files}",) if study.num_other_files else ()
    for note in (*study.remarks, *others):
        console.print(f"Note: {note}", highlight=False)
    check_one_study(study)
    console.print(outcome(decisions[0]), highlight=False)


def _run(
    input_folder: Path,
    output: Path,
    *,
    model: Path,
    prior: tuple[Path, ...],
    features: Literal["cls", "tokens"] | None,
    settings: Settings,
) -> None:
    with Console(stderr=True).status("starting") as status:
        journal = RunJournal(announce=lambda stage: status.update(f"{stage} ..."))
        journal.stages.append(Stage(BEFORE, round(_seconds_since_process_start(), 4), "cpu"))
        with journal.stage("imports"):
            # Torch, timm, highdicom and Holoscan take seconds; --help and --explain should not wait for them.
            from app.application import StudyRequest
            from app.pipeline import Pipeline
            from app.run import failure_recorded, run_study
        with failure_recorded(output, journal), journal.stage("model"):
            pipeline = Pipeline.load(model, settings)
        run_study(pipeline, StudyRequest(input_folder, output, prior, features), journal)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    what = "partial" if journal.shortfall else "completed"
    typer.echo(
        f"{what}: {output / FILE_NAME} ({_seconds_since_process_start():.1f} s, peak {peak_gb:.2f} GB)", err=True
    )


def _seconds_since_process_start() -> float:
    """So that the stages add up to the time that a user waits, the interpreter's start included."""
    started_ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    ticks_per_second = 100  # USER_HZ, fixed by Linux's interface to user space
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / ticks_per_second
