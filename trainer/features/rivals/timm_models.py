"""Vision transformers of timm, such as DINOv2 and DINOv3: config.json names the architecture."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from operators.documents import file_sha256
from operators.domain.features import FeatureVolume
from operators.domain.volume import Volume
from operators.encoder.torchvision_schemas import define_missing_schemas
from trainer.features.rivals.picture_input import PictureInput
from trainer.features.slice_models import Values

BATCH = 8


@dataclass(frozen=True, slots=True, eq=False)
class TimmModel:
    """One of timm's transformers, its tokens after the last norm."""

    name: str
    key: str
    model: Any
    picture_input: PictureInput
    device: str

    @torch.inference_mode()
    def features(self, volume: Volume, values: Values) -> FeatureVolume:
        images = self.picture_input.prepare(volume, values)
        parts = [self.model.forward_features(part.to(self.device)) for part in images.split(BATCH)]  # type: ignore[no-untyped-call]
        tokens = torch.cat(parts).float().cpu().numpy()
        patches = tokens[:, self.model.num_prefix_tokens :]
        side = round(patches.shape[1] ** 0.5)
        cls = tokens[:, 0] if self.model.num_prefix_tokens else patches.mean(axis=1)
        return FeatureVolume(cls, patches, volume.geometry.rescaled((len(tokens), side, side)))


def open_timm_model(folder: Path, *, device: str) -> TimmModel:
    """A snapshot as timm's models are published.

    Raises
    ------
    ValueError
        When the folder is no such snapshot, or its weights are not those of its architecture.
    """
    weights, config = folder / "model.safetensors", folder / "config.json"
    if not weights.is_file() or not config.is_file():
        raise ValueError(f"{folder}: expected config.json and model.safetensors of a timm model")
    record = json.loads(config.read_text(encoding="utf-8"))
    architecture = record.get("architecture")
    pretrained = record.get("pretrained_cfg", {})
    size = int(pretrained.get("input_size", (3, 224, 224))[1])
    state = {name: tensor for name, tensor in load_file(weights).items() if not name.startswith("head.")}
    model = build_timm_model(architecture, size, state, config=config, weights=weights)
    mean, deviation = (tuple(pretrained.get(name, (0.5, 0.5, 0.5))) for name in ("mean", "std"))
    key = f"timm-{file_sha256(weights)[:24]}-{size}"
    return TimmModel(str(architecture), key, model.to(device), PictureInput(size, mean, deviation), device)


def build_timm_model(
    architecture: object, size: int, state: Mapping[str, torch.Tensor], *, config: Path, weights: Path
) -> Any:
    """One of timm's transformers with the weights of a snapshot, ready to be asked.

    config, weights : the files, for messages

    Raises
    ------
    ValueError
        When timm has no such architecture, or the weights are not those of it.
    """
    define_missing_schemas()
    import timm

    if not timm.is_model(str(architecture)):
        raise ValueError(f"{config}: architecture: expected one that timm has, got {architecture!r}")
    model = timm.create_model(str(architecture), pretrained=False, num_classes=0, img_size=size)
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise ValueError(f"{weights}: expected the weights of {architecture}: {error}") from error
    return model.eval()
