"""``python -m trainer``: building models."""

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from operators.errors import CuriaError
from trainer.pretraining.commands import export_command, plot_command, pretrain_command
from trainer.pretraining.run import DATA, SETTINGS, STOPPED

ABLATION = Path(__file__).parent / "pretraining/configs/ablation.toml"

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Fits and measures models for curia-pacs.")


app.command("pretrain")(pretrain_command)
app.command("export")(export_command)
app.command("plot")(plot_command)


@app.callback()
def main() -> None:
    """Fits and measures models for curia-pacs."""


@app.command("demo-model")
def demo_model(
    data: Annotated[Path, typer.Option(help="The open data, laid out as trainer/demo_model/open_data.py tells.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("app/demo_model"),
    work: Annotated[
        Path | None, typer.Option(help="Folder for shards and runs; what is finished there is not made again.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Other pre-training settings, for a trial.")] = None,
) -> None:
    """Pre-train the embedded model's encoder, fit its heads, measure both on held-out patients."""
    # Reads DICOM and NIfTI; the others run where their readers are not installed.
    from trainer.demo_model.builder import CONFIG, DemoModelBuilder
    from trainer.demo_model.training_processes import FailedError, StoppedError

    with TemporaryDirectory() as temporary:
        try:
            DemoModelBuilder(data, out, work or Path(temporary), config or CONFIG).build()
        except StoppedError as error:
            typer.echo(f"{error}; the same command with the same --work goes on", err=True)
            raise typer.Exit(STOPPED) from error
        except FailedError as error:
            typer.echo(error, err=True)
            raise typer.Exit(1) from error


@app.command("ingest")
def ingest(
    trees: Annotated[
        list[Path], typer.Option("--input", help="Folder with DICOM, NIfTI or picture files; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the shards; one that was begun is continued.")],
    validation_share: Annotated[float, typer.Option(help="Share of the patients.", min=0.0, max=1.0)] = 0.05,
    nifti: Annotated[
        list[str] | None, typer.Option(help="Which NIfTI files are images: CT=PATTERN or MR=PATTERN; may be repeated.")
    ] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option(help="Which JPEG, PNG or TIFF files are slices: CT=PATTERN or MR=PATTERN; may be repeated."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = len(os.sched_getaffinity(0)),
    shard_mib: Annotated[int, typer.Option(help="Size of a shard.", min=1)] = 512,
) -> None:
    """Read CT and MR volumes into shards of slices, without anything that names a patient."""
    # Medical readers are not installed where only training runs.
    from trainer.ingest import command

    console = Console()
    try:
        command.ingest(
            trees,
            out,
            validation_share=validation_share,
            nifti=nifti or (),
            pictures=pictures or (),
            workers=workers,
            shard_mib=shard_mib,
            console=console,
        )
    except (ValueError, OSError) as error:
        console.print(f"{error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(SETTINGS) from error


@app.command("ablate")
def ablate(
    shards: Annotated[Path, typer.Option(help="Folder that `ingest` wrote, with the sarcoma patients in it.")],
    data: Annotated[Path, typer.Option(help="The open data, laid out as trainer/demo_model/open_data.py tells.")],
    out: Annotated[Path, typer.Option(help="Folder for the cells; those that have a result are not trained again.")],
    budget: Annotated[int, typer.Option(help="Steps of a cell that stays at the low resolution.", min=1)] = 120,
    seeds: Annotated[int, typer.Option(help="Trainings of each setting.", min=1)] = 3,
    config: Annotated[Path, typer.Option(help="Settings that all cells share.", dir_okay=False)] = ABLATION,
    docs: Annotated[Path, typer.Option(help="Where ablation.md and images/ablation.png go.")] = Path("docs"),
) -> None:
    """Train DINOv2's settings, then with each of Curia-2's changes added in turn; probe them on held-out patients."""
    # Reads DICOM and draws; the others run where what it needs is not installed.
    from trainer.ablation.command import ablate as run_cells

    try:
        run_cells(config, shards=shards, data=data, out=out, docs=docs, budget=budget, seeds=seeds, tell=typer.echo)
    except (ValueError, FileNotFoundError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(SETTINGS) from error


@app.command("bench")
def bench(
    track: Annotated[
        str, typer.Option(help="2d, 3d, findings, registration, survival, fomo, unicorn, vqa, packs, all.")
    ],
    model: Annotated[
        list[str],
        typer.Option(
            help="Model folder, or random, before-training, pixels, place; may be repeated, the first is compared "
            "with the others."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Folder with the tasks' data.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="For results.json and report.html; a run that was cut off goes on.")],
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    workers: Annotated[int, typer.Option(help="Processes on this machine, by Ray where there are several.", min=1)] = 1,
    limit: Annotated[int | None, typer.Option(help="Patients of a task, for a trial.", min=2)] = None,
    images: Annotated[bool, typer.Option(help="Whether the report shows a few of the images.")] = True,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster; its machines share the folders.")] = None,
) -> None:
    """Measure models on CuriaBench's tracks and on packs of labelled images."""
    # Reads medical images and draws; the others run where what it needs is not installed.
    from trainer.benchmark.command import InProcess, Pool
    from trainer.benchmark.command import bench as run_bench
    from trainer.benchmark.task import tracks_of

    console = Console(stderr=True)
    try:
        tracks = tracks_of(track)
        with ExitStack() as stack:
            pool: Pool = InProcess()
            if workers > 1 or ray is not None:
                # Ray takes seconds to start, and is not needed for one process.
                from trainer.benchmark.ray_pool import ray_pool

                pool = stack.enter_context(ray_pool(ray, workers=workers))
            outcome = run_bench(
                tracks, model, data, out, pool=pool, console=console, device=device, limit=limit, with_images=images
            )
    except (ValueError, OSError, CuriaError) as error:
        console.print(f"{error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(SETTINGS) from error
    typer.echo(out / "report.html")
    if outcome.refused:
        raise typer.Exit(DATA)


@app.command("sign")
def sign(
    model: Annotated[Path, typer.Argument(help="Model folder, or a bare snapshot.", exists=True, file_okay=False)],
    key: Annotated[
        Path, typer.Option(help="Private Ed25519 key, PEM, as openssl genpkey writes it.", exists=True, dir_okay=False)
    ],
) -> None:
    """Sign a model folder for sites that set model_public_key."""
    # GPU machines that only train have no cryptography library.
    from trainer.export.signature import sign_model_folder

    is_encrypted = "ENCRYPTED" in key.read_text(encoding="ascii", errors="replace").split("\n", 1)[0]
    passphrase = typer.prompt("Passphrase of the key", hide_input=True, err=True) if is_encrypted else None
    try:
        typer.echo(sign_model_folder(model, key, passphrase=passphrase))
    except (ValueError, OSError, CuriaError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(SETTINGS) from error


@app.command("head")
def head(
    config: Annotated[Path, typer.Option(help="The head and how it is trained, see docs/heads.md.", dir_okay=False)],
    data: Annotated[Path, typer.Option(help="Table of labelled studies, CSV or Parquet.", dir_okay=False)],
    out: Annotated[Path, typer.Option(help="Folder of the head; MODEL/heads/NAME puts it into a model.")],
    work: Annotated[
        Path | None, typer.Option(help="Where features and finished fits are kept; by default beside the table.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Train a head on the encoder's features; calibrate and measure it on patients that it was not fitted on."""
    # Reads medical images and draws; the others run where what it needs is not installed.
    from trainer.head_training.command import train_head

    console = Console(stderr=True)
    try:
        train_head(config, data, out, work, device=device, console=console)
    except (ValueError, OSError, CuriaError) as error:
        console.print(f"{error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(SETTINGS) from error
    typer.echo(out)


@app.command("card")
def card(
    model: Annotated[Path, typer.Argument(help="Model folder.", exists=True, file_okay=False)],
) -> None:
    """Print a model folder's card, in Markdown."""
    from trainer.export.model_card import model_card

    try:
        typer.echo(model_card(model), nl=False)
    except (FileNotFoundError, KeyError, ValueError) as error:
        typer.echo(f"{model}: no card without a whole model.toml and head.toml: {error}", err=True)
        raise typer.Exit(DATA) from error


@app.command("bundle")
def bundle(
    model: Annotated[Path, typer.Option(help="Model folder.", exists=True, file_okay=False)],
    head: Annotated[str, typer.Option(help="Name of one of its heads.")],
    out: Annotated[Path, typer.Option(help="Folder in which the bundle gets a folder of the head's name.")],
) -> None:
    """Write an encoder and a head as a MONAI bundle."""
    # Not needed where only training runs.
    from trainer.bundle.writing import write_bundle

    try:
        typer.echo(write_bundle(model, head, out))
    except (ValueError, OSError, CuriaError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(SETTINGS) from error


@app.command("masks")
def masks(
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("docs/images/masking.png"),
    draws: Annotated[int, typer.Option(help="Masks that are averaged.", min=1)] = 2000,
) -> None:
    """Draw how often each token is masked, by DINOv2's prior and by the anatomy's."""
    # Only this command draws; the others run where matplotlib is not installed.
    from trainer.pretraining.mask_picture import draw_mask_picture

    draw_mask_picture(out, num_draws=draws)
    typer.echo(out)


if __name__ == "__main__":
    app()
