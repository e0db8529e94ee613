"""Small shards in the layout in which CuriaBench is published, one data set for each declared task."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from trainer.benchmark.task import Task

SIDE = 32
PARTS = {"train": 12, "val": 6, "test": 12}


def png(pixels: NDArray[np.generic]) -> dict[str, object]:
    """As Hugging Face's Image stores it."""
    buffer = BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def npy(array: NDArray[np.generic]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def drawn(rng: np.random.Generator, number: int, depth: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(S, H, W) noise with a bright square whose stripes tell the class, and where the square is."""
    image = rng.normal(50, 5, (depth, SIDE, SIDE)).astype(np.float32)
    row, column = rng.integers(2, 14, 2)
    mask = np.zeros(image.shape, np.uint8)
    mask[:, row : row + 14, column : column + 14] = 1
    image[mask > 0] += 80
    image[:, :: number + 2] -= 25
    return image, mask


def write_data_set(task: Task, data: Path) -> None:
    """Three classes at most, patients apart between the parts; single slices as PNG, volumes as NumPy."""
    rng = np.random.default_rng(len(task.name))
    is_volume = task.input == "volume" or task.kind == "registration" or task.track in ("3d", "fomo", "unicorn")
    folder = data / task.dataset
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"test": 2} if task.kind == "registration" else PARTS
    for part, count in parts.items():
        rows = [_row(task, rng, part, number, is_volume=is_volume) for number in range(count)]
        table = pa.Table.from_pylist(rows)
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet", row_group_size=8)


def _row(task: Task, rng: np.random.Generator, part: str, number: int, *, is_volume: bool) -> dict[str, object]:
    kind = number % (2 if task.kind == "survival" or "auc" in task.metric else 3)
    image, mask = drawn(rng, kind, 3 if is_volume else 1)
    encode = npy if is_volume else (lambda array: png(array[0].clip(0, 255)))
    masked = bool(task.mask)
    row: dict[str, object] = {
        "image": encode(image),
        "mask": encode(mask if is_volume else mask * (1 if task.kind == "segmentation" else 255)) if masked else None,
        "target": float(20 + 20 * kind) if task.kind in ("regression", "survival") else f"class {kind}",
        "filename": f"{part}_{number}.nii.gz",
        "series_id": f"{part}-{number}",
    }
    if task.kind == "survival":
        row["event"] = int(number % 4 > 0)
    if task.kind == "multi-label":
        row |= {"nodule": kind == 0, "effusion": kind == 1, "fracture": None if number % 5 == 0 else kind == 2}
        row |= {name: None if row[name] is None else int(row[name]) for name in ("nodule", "effusion", "fracture")}
    if task.kind == "registration":
        row |= {"moving": encode(np.roll(image, 4, 2)), "moving_mask": encode(np.roll(mask, 4, 2))}
    if task.train_modality:
        row["modality"] = "CT" if part != "test" else "MR"
    if task.kind != "classification" and task.kind not in ("regression", "survival"):
        del row["target"]
    return row
