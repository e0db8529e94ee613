"""A run to look at while it trains: TensorBoard, and a bar on the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from trainer.pretraining.watching.metrics_log import Listener, Metrics


@contextmanager
def tensorboard(folder: Path, *, last_step: int) -> Iterator[Listener]:
    class Board:
        def hear(self, step: int, stage: str, metrics: Metrics) -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

    writer = SummaryWriter(str(folder / "tensorboard"), purge_step=last_step + 1)
    try:
        yield Board()
    finally:
        writer.close()


@contextmanager
def progress_bar(total: int, *, last_step: int) -> Iterator[Listener]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[figures]}")) as progress:
        task = progress.add_task("", total=total, completed=last_step, figures="")

        class Bar:
            def hear(self, step: int, stage: str, metrics: Metrics) -> None:
                shown = {
                    "loss/total": "loss {:.3f}",
                    "images_per_second": "{:.0f} slices/s",
                    "knn/region": "k-NN {:.2f}",
                }
                figures = "  ".join(form.format(metrics[name]) for name, form in shown.items() if name in metrics)
                progress.update(task, description=stage, completed=step, figures=figures)

        yield Bar()
