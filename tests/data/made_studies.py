"""Eleven made CT studies, the table of ten of them and the settings of a head: what docs/heads.md trains on.

    python tests/data/made_studies.py OUT

Every other study shows a dense mass beside a lung. The eleventh shows one too and is not in the table.
"""

import csv
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "support")]

from phantoms import SeriesSpec, build_datasets, grid_positions, phantom_value, save_series  # noqa: E402

LABELLED = 10
MASS_HU, NOISE_HU = 600.0, 10.0
CENTRE, RADII = np.array([14.0, -4.0, -8.0]), np.array([11.0, 9.0, 10.0])
"""Of the mass, LPS mm."""

SETTINGS = """\
model = "{model}"
folds = 5
calibration = "platt"

[head]
task = "classification"
kind = "multi-label"
name = "made-mass"
data = "ten made studies, half of them with a mass"

[columns]
targets = ["mass"]

[operating_point]
rule = "youden"
"""


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows = [_make(out, number) for number in range(LABELLED + 1)]
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[:LABELLED])
    (out / "head.toml").write_text(SETTINGS.format(model=TESTS.parent / "app/demo_model"), encoding="utf-8")


def _make(out: Path, number: int) -> dict[str, str]:
    """Writes the study and the label map of its mass; its row of the table."""
    rng, has_mass = np.random.default_rng(number), number % 2 == 0
    x, y, z = (float(value) for value in rng.uniform(-1, 1, 3))
    spec = SeriesSpec(shape=(3, 72, 80), slice_spacing=5.0, centre_lps_mm=(x, y, z + CENTRE[2]))
    spec = replace(spec, study=f"made {number}", patient_id=f"MADE-{number:02d}")
    name = f"study-{number:02d}"
    save_series(build_datasets(spec, partial(_value, rng=rng, has_mass=has_mass)), out / name)
    mask = _in_mass(grid_positions(spec.geometry)) & has_mass
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ spec.geometry.affine[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), ras), out / f"{name}-mass.nii.gz")
    row = {"study": name, "patient_id": spec.patient_id, "mass": str(int(has_mass))}
    return row | {"mask": f"{name}-mass.nii.gz"}


def _value(positions: NDArray[np.float64], *, rng: np.random.Generator, has_mass: bool) -> NDArray[np.float64]:
    """(..., 3) LPS mm to (...) HU."""
    value = phantom_value(positions)
    value[_in_mass(positions)] = MASS_HU if has_mass else 40.0
    return value + rng.normal(0, NOISE_HU, value.shape)


def _in_mass(positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.sum(((positions - CENTRE) / RADII) ** 2, axis=-1) <= 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
