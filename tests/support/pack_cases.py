"""Packs of made images: what is to be told is drawn into them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32


def square(row: int, column: int, side: int = 12) -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[row : row + side, column : column + side] = True
    return mask


def write_picture(path: Path, pixels: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def write_index(folder: Path, rows: Sequence[dict[str, object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def made_pack(folder: Path, *, patients: int = 12, images: int = 2) -> list[dict[str, object]]:
    """Round-robin classes: "dots" are few and bright, "halves" two even halves; a bright square is the mask."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for patient in range(patients):
        label = ("dots", "halves")[patient % 2]
        for number in range(images):
            mask = square(*(4 * rng.integers(0, 5, 2)))
            pixels = rng.normal(60, 4, (SIDE, SIDE))
            if label == "dots":
                pixels[rng.random((SIDE, SIDE)) < 0.03] = 160
            else:
                pixels[:, ::2] -= 30
            pixels[mask] += 90
            name = f"p{patient:02d}/{number}"
            write_picture(folder / f"{name}.png", pixels.clip(0, 255))
            write_picture(folder / f"{name}_mask.png", 255 * mask)
            age = 40 + 20 * (patient % 2) + patient
            row = {"image": f"{name}.png", "mask": f"{name}_mask.png", "label": label, "age": age}
            rows.append({**row, "patient_id": f"SECRET-{patient:02d}"})
    write_index(folder, rows)
    return rows
