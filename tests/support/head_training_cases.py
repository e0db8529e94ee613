"""Made studies whose features tell what a table says about them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encoder_cases import TINY
from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.encoder.feature_file import write_features

PATIENTS, SLICES, SIDE, WIDTH = 12, 3, 4, TINY.hidden_size
NODULE, EFFUSION = np.eye(WIDTH, dtype=np.float32)[:2] * 6


@dataclass(frozen=True)
class Cohort:
    """Feature files in a folder, and the rows of a table about them: two studies of each patient."""

    folder: Path
    rows: list[dict[str, Any]]

    def write(self, rows: Sequence[dict[str, Any]] | None = None) -> Path:
        path = self.folder / "table.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list((rows or self.rows)[0]))
            writer.writeheader()
            writer.writerows(rows or self.rows)
        return path


def made_features(rng: np.random.Generator, *, nodule: int, effusion: int) -> FeatureVolume:
    """A nodule in one token of the middle slice, an effusion in every CLS."""
    cls = rng.normal(size=(SLICES, WIDTH)).astype(np.float32) + effusion * EFFUSION
    tokens = rng.normal(size=(SLICES, SIDE**2, WIDTH)).astype(np.float32) * 0.3
    tokens[1, 5] += 10 * nodule * NODULE
    return FeatureVolume(cls, tokens, Geometry(np.eye(4), (SLICES, SIDE, SIDE)))


def made_cohort(folder: Path) -> Cohort:
    rng, rows = np.random.default_rng(1), []
    for number in range(2 * PATIENTS):
        nodule, effusion = number % 2, number // 2 % 2
        study = folder / f"study{number:02d}"
        study.mkdir()
        features = made_features(rng, nodule=nodule, effusion=effusion)
        write_features({f"1.2.{number}": features}, study, with_tokens=True)
        rows.append(
            {
                "study": f"{study.name}/features.safetensors",
                "patient_id": f"p{number // 2:02d}",
                "nodule": nodule,
                "effusion": effusion,
                "grade": ("mild", "moderate", "severe")[nodule + effusion],
                "age": 50 + 10 * nodule - 20 * effusion,
                "days": 100 + number - 50 * nodule,
                "event": int(number % 5 != 0),
            }
        )
    return Cohort(folder, rows)
