"""Vision models of Hugging Face's transformers, such as RAD-DINO (Dinov2Model) and MedSigLIP (its vision half)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from operators.documents import file_sha256
from operators.domain.features import FeatureVolume
from operators.domain.volume import Volume
from trainer.features.rivals.picture_input import PictureInput
from trainer.features.slice_models import Values

BATCH = 8
FAMILIES = ("dinov2", "dinov2_with_registers", "dinov3_vit", "siglip", "siglip_vision_model", "vit")
"""Types of config.json whose tokens lie as is expected here."""


@dataclass(frozen=True, slots=True, eq=False)
class TransformersModel:
    """A vision transformer with its last hidden state; prefix is how many tokens come before the patches."""

    name: str
    key: str
    model: Any
    prefix: int
    picture_input: PictureInput
    device: str

    @torch.inference_mode()
    def features(self, volume: Volume, values: Values) -> FeatureVolume:
        images = self.picture_input.prepare(volume, values)
        parts = [
            self.model(pixel_values=part.to(self.device)).last_hidden_state
            for part in images.split(BATCH)  # type: ignore[no-untyped-call]
        ]
        tokens = torch.cat(parts).float().cpu().numpy()
        patches = tokens[:, self.prefix :]
        side = round(patches.shape[1] ** 0.5)
        cls = tokens[:, 0] if self.prefix else patches.mean(axis=1)
        return FeatureVolume(cls, patches, volume.geometry.rescaled((len(tokens), side, side)))


def open_transformers_model(folder: Path, *, device: str) -> TransformersModel:
    """A snapshot with safetensors; what a snapshot brings as code is never run, and nothing is fetched.

    Raises
    ------
    ValueError
        When its weights are no safetensors, or its type is none of `FAMILIES`.
    """
    from transformers import AutoModel

    weights, config = folder / "model.safetensors", folder / "config.json"
    if not weights.is_file() or not config.is_file():
        raise ValueError(f"{folder}: expected config.json and model.safetensors of a transformers model")
    record = json.loads(config.read_text(encoding="utf-8"))
    family = record.get("model_type")
    if family not in FAMILIES:
        raise ValueError(f"{config}: model_type: expected one of {', '.join(FAMILIES)}, got {family!r}")
    whole = AutoModel.from_pretrained(folder, local_files_only=True, trust_remote_code=False, use_safetensors=True)
    model = getattr(whole, "vision_model", whole).eval().to(device)
    settings = getattr(model.config, "vision_config", model.config)
    prefix = 0 if "siglip" in str(family) else 1 + int(getattr(settings, "num_register_tokens", 0) or 0)
    key = f"transformers-{file_sha256(weights)[:24]}"
    return TransformersModel(folder.name, key, model, prefix, _input(folder, int(settings.image_size)), device)


def _input(folder: Path, size: int) -> PictureInput:
    """How pictures are prepared, by preprocessor_config.json where there is one."""
    path = folder / "preprocessor_config.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    mean, deviation = (tuple(record.get(name, (0.5, 0.5, 0.5))) for name in ("image_mean", "image_std"))
    return PictureInput(size, mean, deviation)
