"""Slices made up for pre-training: bodies of known place in air."""

from typing import Any, Literal

import numpy as np
from torch import Tensor

from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.views.crops import CropBatch, make_crops


def make_sample(
    pixels: np.ndarray[Any, Any], *, modality: Literal["CT", "MR"] = "CT", region: str | None = None
) -> SliceSample:
    values = "HU" if modality == "CT" else "scanner units"
    return SliceSample(pixels.astype(np.int16), (1.0, 1.0), modality, values, "axial", region, "patient", "key")


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


def tiny_config(**tables: Any) -> PretrainingConfig:
    """A run small enough for a test; a table given here changes single settings, stages all of them."""
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
        merged = isinstance(settings.get(name), dict)
        settings[name] = {**settings[name], **table} if merged else table
    return PretrainingConfig.model_validate(settings)


def joined_batch(config: PretrainingConfig) -> CropBatch:
    """Of four slices, for one process."""
    samples = [body_slice(seed=seed, centre=(50 + 8 * seed, 64)) for seed in range(4)]
    return make_crops(samples, config, np.random.default_rng(0))


def part_of(batch: CropBatch, rank: int) -> CropBatch:
    """Every view's slices of one of two processes."""

    def rows(tensor: Tensor) -> Tensor:
        views = tensor.unflatten(0, (-1, 4))
        return views[:, 2 * rank : 2 * rank + 2].flatten(0, 1)

    masks = rows(batch.masks)
    weights = (1.0 / masks.sum(dim=1))[:, None].expand_as(masks)[masks]
    indices = masks.flatten().nonzero().flatten()
    return CropBatch(rows(batch.global_crops), rows(batch.local_crops), masks, indices, weights, 0, 0)
