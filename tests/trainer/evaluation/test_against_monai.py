"""The loss that decoders are fitted with and the figures of overlap are MONAI's.

MONAI core is kept out of the environment, as its import would cost the application seconds at each start; where it
is installed beside it, both are asked about the same masks.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from trainer.evaluation.overlap import dice, hd95, surface_distance
from trainer.heads.pixel_decoder import SMOOTH, DiceOver, outline_loss

ROOT = Path(__file__).parents[3]
MONAI = ROOT / "build/rivals"
ASKED = """
import json, sys
import numpy as np, torch
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDistanceMetric
asked, smooth = dict(np.load(sys.argv[1])), float(sys.argv[2])
asked_of = dict(to_onehot_y=True, softmax=True, include_background=False, smooth_nr=smooth, smooth_dr=smooth)
evidence, classes = torch.from_numpy(asked["evidence"]), torch.from_numpy(asked["classes"])
scores = torch.cat([torch.zeros_like(evidence[:, :1]), evidence], dim=1)
masks = [torch.from_numpy(asked[name])[:, None].float() for name in ("predicted", "true")]
spacing = tuple(asked["spacing"].tolist())
metrics = [DiceMetric(), HausdorffDistanceMetric(percentile=95), SurfaceDistanceMetric(symmetric=True)]
found = [metrics[0](*masks), *(metric(*masks, spacing=spacing) for metric in metrics[1:])]
losses = [DiceCELoss(**asked_of, batch=batch)(scores, classes[:, None]).item() for batch in (True, False)]
print(json.dumps([losses, *(one[:, 0].tolist() for one in found)]))
"""


@pytest.mark.skipif(not (MONAI / "monai/losses").is_dir(), reason="MONAI is not there; make build/rivals/monai")
def test_loss_dice_and_distances_are_those_of_monai(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    predicted, true = np.zeros((2, 3, 6, 20, 17), bool)
    for masks in (predicted, true):
        for mask in masks:
            low = rng.integers(0, 5, 3)
            mask[tuple(slice(start, start + length) for start, length in zip(low, (3, 11, 9), strict=True))] = True
            mask |= rng.random(mask.shape) < 0.01
    spacing = np.array([5.0, 0.7, 1.1])
    evidence = rng.normal(size=(4, 2, 16, 16)).astype(np.float32)
    classes = rng.integers(0, 3, (4, 16, 16))
    classes[0] = 0
    asked = {"predicted": predicted, "true": true, "spacing": spacing, "evidence": evidence, "classes": classes}
    np.savez(tmp_path / "asked.npz", **asked)
    command = [sys.executable, "-W", "ignore", "-c", ASKED, str(tmp_path / "asked.npz"), str(SMOOTH)]
    environment = os.environ | {"PYTHONPATH": str(MONAI), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    losses, dices, borders, surfaces = json.loads(done.stdout)
    ours = [
        outline_loss(torch.from_numpy(evidence), torch.from_numpy(classes), dice_over=dice_over).item()
        for dice_over in get_args(DiceOver)
    ]
    assert ours == pytest.approx(losses, rel=1e-5)
    pairs = list(zip(predicted, true, strict=True))
    assert [dice(*pair) for pair in pairs] == pytest.approx(dices, rel=1e-5)
    assert [hd95(*pair, spacing) for pair in pairs] == pytest.approx(borders, rel=1e-5)
    assert [surface_distance(*pair, spacing) for pair in pairs] == pytest.approx(surfaces, rel=1e-5)
