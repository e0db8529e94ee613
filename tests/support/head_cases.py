"""Heads of our own kinds as they lie on disk, on features that are drawn at random."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from encoder_cases import TINY
from operators.domain.features import EncoderInputSettings, FeatureVolume
from operators.domain.geometry import Geometry
from operators.encoder.key_names import to_legacy_names
from operators.encoder.snapshot import Snapshot
from operators.heads.head import Head, HeadAnswer, HeadFolder, SeriesFeatures, ask
from operators.heads.kinds import read_head
from trainer.export.model_folder import to_toml

WIDTH = TINY.hidden_size
SLICES = 20
"""More than a block of features, so that what is added up comes in two."""
SHA256 = "ab" * 32
SNAPSHOT = Snapshot(TINY, EncoderInputSettings(image_size=64), {}, SHA256)
GRID = Geometry(np.diag([3.0, 16.0, 16.0, 1.0]), (SLICES, 4, 4), "1.2.3")
GRID.affine[:3, :3] = [[0, 0, 16.0], [0, 16.0, 0], [3.0, 0, 0]]
SOURCE = GRID.rescaled((SLICES, 64, 64))
ANATOMY = {"value": "91723000", "scheme": "SCT", "meaning": "Anatomical Structure"}
CHEST = {"value": "39607008", "scheme": "SCT", "meaning": "Lung"}


def random_features(seed: int = 0, slices: int = SLICES) -> FeatureVolume:
    rng = np.random.default_rng(seed)
    geometry = Geometry(GRID.affine, (slices, 4, 4), GRID.frame_of_reference_uid)
    cls = rng.normal(size=(slices, WIDTH)).astype(np.float32)
    return FeatureVolume(cls, rng.normal(size=(slices, 16, WIDTH)).astype(np.float32), geometry)


def series_of(features: FeatureVolume, **more: Any) -> SeriesFeatures:
    slices = features.geometry.shape[0]
    return SeriesFeatures(features, features.geometry.rescaled((slices, 64, 64)), "CT", "1.5", **more)


def write_kind(
    folder: Path,
    record: Mapping[str, Any],
    labels: Sequence[str],
    tensors: Mapping[str, NDArray[Any]],
    *,
    category: bool = False,
) -> Path:
    """A head's folder; the record is completed by what every head says.

    category : whether the labels have what segments need
    """
    folder.mkdir(parents=True, exist_ok=True)
    common = {"name": "lung", "version": "1", "encoder_sha256": SHA256, "data": "none", "modality": ["CT"]}
    (folder / "head.toml").write_text(to_toml(common | dict(record)))
    more = {"category": ANATOMY} if category else {}
    rows = [{"name": name, "code": {**CHEST, "meaning": name}, **more} for name in labels]
    if rows:
        (folder / "labels.toml").write_text(to_toml({"label": rows}))
    save_file(
        {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}, folder / "model.safetensors"
    )
    return folder


def read_kind(folder: Path) -> Head:
    return read_head(HeadFolder(folder, SNAPSHOT, "cd" * 32))


def answer_of(folder: Path, series: SeriesFeatures) -> HeadAnswer:
    (answer,) = ask([read_kind(folder)], series)
    return answer


def write_published(
    folder: Path, snapshot: Snapshot, *, classes: int = 3, width: int = WIDTH, copy: bool = True, **config: Any
) -> dict[str, torch.Tensor]:
    """A folder as it is published, with random weights; the head's own tensors."""
    generator = torch.Generator().manual_seed(5)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5

    tensors = {"classifier.weight": 5 * random(classes, width), "classifier.bias": random(classes)}
    attention = config.get("attention_cfg")
    for block in (attention or {}).get("block", ("self", "cross") if attention is not None else ()):
        prefix = f"attention_module.{block}_attention."
        tensors |= {
            f"{prefix}attention.multihead_attn.in_proj_weight": 3 * random(3 * width, width),
            f"{prefix}attention.multihead_attn.in_proj_bias": random(3 * width),
            f"{prefix}attention.multihead_attn.out_proj.weight": random(width, width),
            f"{prefix}attention.multihead_attn.out_proj.bias": random(width),
            f"{prefix}attention.norm.weight": 1 + random(width),
            f"{prefix}attention.norm.bias": random(width),
        }
        if block == "cross":
            tensors[f"{prefix}learned_queries"] = random(attention.get("num_queries", 1), width)
    encoder = to_legacy_names(snapshot.state_dict, use_swiglu_ffn=True) | {
        "embeddings.mask_token": torch.zeros(1, WIDTH)
    }
    stored = tensors | ({f"dino.{name}": tensor for name, tensor in encoder.items()} if copy else {})
    folder.mkdir(parents=True)
    save_tensors({name: tensor.contiguous() for name, tensor in stored.items()}, folder / "model.safetensors")
    record = {"model_type": "dinov2_custom_classifier", "num_classes": classes, "model_name": "raidium/curia", **config}
    (folder / "config.json").write_text(json.dumps(record))
    return tensors
