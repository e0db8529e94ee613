"""Slices made up for pre-training: bodies of known place in air."""

from typing import Any, Literal

import numpy as np

from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.samples import SliceSample


def make_sample(
    pixels: np.ndarray[Any, Any], *, modality: Literal["CT", "MR"] = "CT", region: str | None = None
) -> SliceSample:
    return SliceSample(pixels.astype(np.int16), (1.0, 1.0), modality, "axial", region, "patient", "key")


def body_slice(
    shape: tuple[int, int] = (128, 128),
    *,
    centre: tuple[float, float] = (64, 64),
    radii: tuple[float, float] = (40, 40),
    seed: int = 0,
) -> SliceSample:
    """An ellipse of 40 HU in air, both with noise."""
    rng = np.random.default_rng(seed)
    row, column = np.ogrid[: shape[0], : shape[1]]
    body = ((row + 0.5 - centre[0]) / radii[0]) ** 2 + ((column + 0.5 - centre[1]) / radii[1]) ** 2 < 1
    return make_sample(np.where(body, 40.0, -1000.0) + rng.normal(0, 10, shape))


def tiny_config(**tables: dict[str, object]) -> PretrainingConfig:
    """A run small enough for a test; a table given here changes single settings."""
    settings: dict[str, Any] = {
        "data": {"shards": "none"},
        "model": {
            "hidden_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "patch_size": 8,
            "layerscale_value": 0.1,
        },
        "crops": {"global_size": 32, "local_size": 16, "num_local": 2},
        "losses": {
            "prototypes": 20,
            "head_hidden_dim": 16,
            "head_bottleneck_dim": 8,
            "sigreg_projections": 32,
            "koleo": 0.1,
        },
        "stages": [{"name": "only", "steps": 40}],
        "run": {"drop_path": 0.0},
    }
    for name, table in tables.items():
        settings[name] = {**settings[name], **table} if name in settings else table
    return PretrainingConfig.model_validate(settings)
