"""The image half of models that open_clip keeps, where it is one of timm's transformers, such as BiomedCLIP's.

The folder has open_clip's own names: ``open_clip_config.json`` and ``open_clip_model.safetensors``.
"""

import json
from pathlib import Path

from safetensors.torch import load_file

from operators.documents import file_sha256
from trainer.features.rivals.picture_input import PictureInput
from trainer.features.rivals.timm_models import TimmModel, build_timm_model

TRUNK = "visual.trunk."
OPENAI_MEAN, OPENAI_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's, where a folder tells none."""


def open_open_clip_model(folder: Path, *, device: str) -> TimmModel:
    """The tokens of the image half after its last norm; the text half and the projection are left out.

    Raises
    ------
    ValueError
        When the folder lacks a file, its image half is none of timm's, or its weights are not those of it.
    """
    weights, config = folder / "open_clip_model.safetensors", folder / "open_clip_config.json"
    if not weights.is_file() or not config.is_file():
        raise ValueError(f"{folder}: expected open_clip_config.json and open_clip_model.safetensors of open_clip")
    record = json.loads(config.read_text(encoding="utf-8"))
    vision = record.get("model_cfg", {}).get("vision_cfg", {})
    architecture, size = vision.get("timm_model_name"), int(vision.get("image_size", 224))
    state = {name.removeprefix(TRUNK): tensor for name, tensor in load_file(weights).items() if name.startswith(TRUNK)}
    model = build_timm_model(architecture, size, state, config=config, weights=weights)
    told = record.get("preprocess_cfg", {})
    contract = PictureInput(size, tuple(told.get("mean", OPENAI_MEAN)), tuple(told.get("std", OPENAI_DEVIATION)))
    key = f"open-clip-{file_sha256(weights)[:24]}-{size}"
    return TimmModel(folder.name, key, model.to(device), contract, device)
