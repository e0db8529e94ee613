"""Probes on features whose answers are known."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from trainer.ablation.labelled import LabelledScan, label_scan
from trainer.ablation.probe import probe
from trainer.ablation.references import place_tokens
from trainer.features.scans import Scan

GRID = 8


def scans() -> list[LabelledScan]:
    """Patches at -1, those of a tumour at 1; every second slice has one."""
    found = []
    for number in range(6):
        generator = torch.Generator().manual_seed(number)
        covered = torch.rand(40, GRID * GRID, generator=generator) < 0.5
        covered[::2] = False
        pixels = torch.where(covered, 1.0, -1.0).view(40, 1, GRID, GRID)
        images = pixels.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
        found.append(LabelledScan(f"P{number // 2}", ("CT", "MR")[number % 2], number < 2, images, covered))
    return found


def seeing(images: Tensor) -> Tensor:
    """Each patch's level and a constant, CLS their mean."""
    levels = functional.avg_pool2d(images, 4).flatten(1)[..., None]
    tokens = torch.cat([levels, torch.ones_like(levels)], dim=-1)
    return torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)


def test_features_that_hold_the_answer_get_full_marks_on_the_held_out_patient() -> None:
    found = probe(seeing, scans())
    assert found.keys() == {"P0"}
    assert found["P0"] == {f"{name}/{m}": 1.0 for m in ("CT", "MR") for name in ("knn", "dice", "auc")}


def test_features_of_the_place_alone_know_nothing_of_tumours_anywhere() -> None:
    found = probe(lambda images: place_tokens(images, patch_size=4), scans())["P0"]
    assert found["knn/CT"] == 0.5
    assert abs(found["auc/CT"] - 0.5) < 0.15


def test_tokens_of_a_scan_are_labelled_by_half_their_area() -> None:
    """A mask over the left half, and a quarter of the upper token on the right."""
    mass = np.zeros((2, 16, 8), np.bool_)
    mass[0, :, :4] = True
    mass[0, 6:8, 4:] = True
    grid = Geometry(np.eye(4), mass.shape)
    rng = np.random.default_rng(0)
    scan = Scan("P", "CT", "CT", Volume(rng.normal(size=mass.shape).astype(np.float32), grid), (None,) * 2)
    labelled = label_scan(
        Scan(scan.patient, scan.name, "CT", scan.volume, scan.regions, mass=Volume(mass, grid)),
        "validation",
        image_size=16,
        patch_size=8,
    )
    assert labelled.held_out
    assert labelled.images.shape == (2, 1, 16, 16)
    assert labelled.covered.tolist() == [[True, False, True, False], [False] * 4]
    torch.testing.assert_close(labelled.images.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
