"""What heads cost beside the encoder: rows of ``build/bench.json``.

    python tests/benchmarks/bench_heads.py [--out build/bench.json]

Random weights at the published B's shape. The goal: 200 findings cost under 5 % of the encoder's time on the same
slices and device. The memory row lets several kinds of heads read 2,000 slices in a process of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from benchmarks.side_by_side import Row, row, seconds, write_rows  # noqa: E402
from encoder_cases import CURIA_2_B, random_input, write_random_snapshot  # noqa: E402
from head_cases import write_kind  # noqa: E402
from operators.domain.features import FeatureVolume  # noqa: E402
from operators.domain.geometry import Geometry  # noqa: E402
from operators.encoder.features import Encoder  # noqa: E402
from operators.encoder.snapshot import Snapshot, read_snapshot  # noqa: E402
from operators.heads.head import Head, HeadFolder, SeriesFeatures, ask  # noqa: E402
from operators.heads.kinds import read_head  # noqa: E402
from orthanc_plugin.pipeline.process_memory import resident_bytes  # noqa: E402
from trainer.heads.affine import AffineFit, Examples, fit_affine  # noqa: E402
from trainer.heads.objectives import each_label  # noqa: E402
from trainer.heads.optimising import Optimiser  # noqa: E402

FINDINGS = 200
SHARE = 0.05
CPU_SLICES, GPU_SLICES = 2, 256
LONG_SERIES = 2000
TRAINING_ROWS = 100_000
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        snapshot = read_snapshot(write_random_snapshot(CURIA_2_B, Path(folder) / "encoder"))
        if arguments.peak:
            sys.stdout.write(json.dumps(_peak_gigabytes(snapshot, Path(folder))))
        else:
            write_rows(_rows(snapshot, Path(folder)), arguments.out)


def _rows(snapshot: Snapshot, folder: Path) -> Iterator[Row]:
    yield _time_row(snapshot, folder, "cpu", CPU_SLICES)
    if torch.cuda.is_available():
        yield _time_row(snapshot, folder, "cuda:0", GPU_SLICES)
    yield _memory_row()
    yield _training_row()


def _time_row(snapshot: Snapshot, folder: Path, device: str, slices: int) -> Row:
    encoder = Encoder(snapshot, devices=(device,))
    encoder_input = random_input(CURIA_2_B.image_size, slices=slices)
    features = encoder.encode(encoder_input)
    series = SeriesFeatures(features, features.geometry, "CT", "1.2", device)
    head = many_findings(snapshot, folder)
    ask([head], series)
    turns = [
        (seconds(lambda: ask([head], series)), seconds(lambda: encoder.encode(encoder_input))) for _ in range(REPEATS)
    ]
    ours, encoding = (float(np.median(column)) for column in zip(*turns, strict=True))
    return row(
        f"{FINDINGS} findings from CLS and the mean token of {slices} slices, Curia-2 B",
        ours,
        f"{SHARE:.0%} of the encoder's time on them",
        SHARE * encoding,
        detail=f"the encoder took {encoding:.2f} s; medians of {REPEATS} turns, warm",
        device=torch.cuda.get_device_name() if device != "cpu" else "",
    )


def _memory_row() -> Row:
    command = [sys.executable, "-W", "ignore", __file__, "--peak"]
    peak = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return row(
        f"memory of heads that read {LONG_SERIES} slices, Curia-2 B",
        peak,
        "goal",
        1.0,
        unit="GB",
        detail="above what the process held before: many findings, a bag of all tokens, organs of three classes",
    )


def _training_row() -> Row:
    """One finding told by a few of the features, as hard as the penalty lets it be."""
    rng, width = np.random.default_rng(0), CURIA_2_B.hidden_size
    features = rng.normal(size=(TRAINING_ROWS, width)).astype(np.float32)
    present = features[:, :8].sum(axis=1) + rng.logistic(size=TRAINING_ROWS) > 0
    examples = Examples(features, present[:, None].astype(np.float64), np.ones((TRAINING_ROWS, 1)))
    fits: list[AffineFit] = []
    ours = seconds(
        lambda: fits.append(fit_affine(examples, each_label, Optimiser(), num_outputs=1, penalty=1e-4, seed=0))
    )
    right = ((fits[0].linear(features)[:, 0] > 0) == present).mean()
    return row(
        f"linear probe of {TRAINING_ROWS} rows of {width} features",
        ours,
        "goal",
        60.0,
        detail=f"L-BFGS, {fits[0].epochs} steps, {os.cpu_count()} cores; {right:.3f} of the rows right",
    )


class _LongTensor:
    """Tokens of a long series, each block the same, so that they need no memory of their own."""

    def __init__(self, slices: int, tokens: int, width: int) -> None:
        self.shape = (slices, tokens, width)
        self._block = np.random.default_rng(0).normal(size=(16, tokens, width)).astype(np.float32)

    def __getitem__(self, place: slice) -> NDArray[np.float32]:
        return self._block[: place.stop - place.start]


def _peak_gigabytes(snapshot: Snapshot, folder: Path) -> float:
    grid, width = CURIA_2_B.grid_size, CURIA_2_B.hidden_size
    geometry = Geometry(np.eye(4), (LONG_SERIES, grid, grid))
    cls = np.zeros((LONG_SERIES, width), np.float32)
    features = FeatureVolume(cls, _LongTensor(LONG_SERIES, grid**2, width), geometry)
    heads = [many_findings(snapshot, folder), _bag(snapshot, folder), _organs(snapshot, folder)]
    # Not the peak before, which is what loading once took.
    before = resident_bytes(os.getpid()) or 0
    ask(heads, SeriesFeatures(features, geometry, "CT", "1.2"))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e9


def many_findings(snapshot: Snapshot, folder: Path) -> Head:
    """FINDINGS outputs from one vector."""
    rng, width = np.random.default_rng(0), 2 * snapshot.config.hidden_size
    record = {"task": "classification", "kind": "multi-label", "inputs": ["cls", "mean-token"], "name": "many"}
    tensors = {"weight": rng.normal(size=(FINDINGS, width)) / width, "bias": np.zeros(FINDINGS)}
    return _written(snapshot, folder / "many", record, [f"finding {number}" for number in range(FINDINGS)], tensors)


def _bag(snapshot: Snapshot, folder: Path) -> Head:
    rng, width = np.random.default_rng(1), snapshot.config.hidden_size
    record = {"task": "classification", "kind": "instance-attention", "instances": ["cls", "tokens"], "name": "bag"}
    shapes = {"classifier": (2, width), "tanh": (16, width), "sigmoid": (16, width), "score": (1, 16)}
    tensors = {f"{name}.weight": rng.normal(size=shape) / shape[1] for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": np.zeros(shape[0]) for name, shape in shapes.items()}
    return _written(snapshot, folder / "bag", record, ["a", "b"], tensors)


def _organs(snapshot: Snapshot, folder: Path) -> Head:
    width = snapshot.config.hidden_size
    record = {
        "task": "segmentation",
        "kind": "linear",
        "inputs": ["tokens"],
        "subdivision": 2,
        "minimum_volume_ml": 0.0,
    }
    tensors = {"weight": np.zeros((12, width)), "bias": np.zeros(12)}
    return _written(snapshot, folder / "organs", record | {"name": "organs"}, ["a", "b", "c"], tensors, category=True)


def _written(
    snapshot: Snapshot,
    folder: Path,
    record: dict[str, object],
    labels: list[str],
    tensors: dict[str, NDArray[np.floating]],
    *,
    category: bool = False,
) -> Head:
    write_kind(folder, record | {"encoder_sha256": snapshot.sha256}, labels, tensors, category=category)
    return read_head(HeadFolder(folder, snapshot, "0" * 64))


if __name__ == "__main__":
    main()
