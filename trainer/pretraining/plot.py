"""A run's curves: losses, probes, throughput; several runs' last probes over their size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from trainer.pretraining.engine import last_record
from trainer.pretraining.watching.metrics_log import read_metrics

PANELS = {
    "Loss": ("loss/",),
    "Balanced accuracy on held-out patients": ("knn/", "linear/"),
    "Slices per second": ("images_per_second",),
    "Share of time": ("data_wait", "mfu"),
}


def draw_runs(runs: Sequence[Path], out: Path) -> None:
    """Each panel of PANELS with every run's curves; with several runs, also their last k-NN over parameters."""
    panels = [*PANELS.items()]
    columns = len(panels) + (len(runs) > 1)
    figure = Figure(figsize=(4.5 * columns, 3.5), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis, (title, prefixes) in zip(axes, panels, strict=False):
        for run in runs:
            _draw_curves(axis, run, prefixes, named=len(runs) > 1)
        axis.set(title=title, xlabel="step")
        _name_curves(axis)
    if len(runs) > 1:
        _draw_scaling(axes[-1], runs)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)


def _draw_curves(axis: Any, run: Path, prefixes: tuple[str, ...], *, named: bool) -> None:
    rows = read_metrics(run)
    for name in sorted({name for row in rows for name in row if name.startswith(prefixes)}):
        points = [(row["step"], row[name]) for row in rows if name in row]
        axis.plot(*zip(*points, strict=True), label=f"{run.name} {name}" if named else name)


def _draw_scaling(axis: Any, runs: Sequence[Path]) -> None:
    for run in runs:
        probed = [row["knn/region"] for row in read_metrics(run) if "knn/region" in row]
        record = last_record(run)
        if probed and record is not None:
            encoder = record.config.encoder_config
            size = 12 * encoder.num_hidden_layers * encoder.hidden_size**2
            axis.plot(size / 1e6, probed[-1], "o", label=run.name)
    axis.set(title="Scaling", xlabel="million parameters in blocks", ylabel="knn/region", xscale="log")
    _name_curves(axis)


def _name_curves(axis: Any) -> None:
    if axis.has_data():
        axis.legend(fontsize="x-small")
    else:
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center")
