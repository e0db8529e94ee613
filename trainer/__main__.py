"""``python -m trainer``: building models."""

from pathlib import Path
from typing import Annotated

import typer

from trainer.demo_model import DemoModelBuilder

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Fits and measures models for curia-pacs.")


@app.callback()
def main() -> None:
    """Fits and measures models for curia-pacs."""


@app.command("demo-model")
def demo_model(
    data: Annotated[Path, typer.Option(help="Folder with the open data, laid out as trainer/datasets.py tells.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("app/demo_model"),
) -> None:
    """Fit the embedded demonstration model anew and print its figures; the same data gives the same figures."""
    for head, measured in DemoModelBuilder(data, out).build().items():
        typer.echo(head)
        for name, value in measured.items():
            typer.echo(f"  {name}: {value}")


@app.command("masks")
def masks(
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("docs/images/masking.png"),
    draws: Annotated[int, typer.Option(help="Masks that are averaged.", min=1)] = 2000,
) -> None:
    """Draw how often each token is masked, by DINOv2's prior and by the anatomy's."""
    # Only this command draws; the others run where matplotlib is not installed.
    from trainer.pretraining.mask_picture import draw_mask_picture

    draw_mask_picture(out, num_draws=draws)


if __name__ == "__main__":
    app()
