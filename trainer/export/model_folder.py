"""Writing a model folder: snapshot, heads, model.toml, digests."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import Tensor

from operators.documents import file_sha256
from operators.domain.features import EncoderInputSettings
from operators.encoder.key_names import to_legacy_names
from operators.encoder.snapshot import WEIGHTS
from operators.encoder.vision_transformer import EncoderConfig
from operators.heads.labels import Label
from operators.model.digests import DIGEST_FILE, model_files
from operators.model.model_folder import MODEL_FILE


def write_snapshot(
    state: Mapping[str, Tensor],
    config: EncoderConfig,
    settings: EncoderInputSettings,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
) -> str:
    """A Hugging Face snapshot under the published (transformers 4) names; its weights' SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    legacy = to_legacy_names(state, use_swiglu_ffn=config.use_swiglu_ffn)
    # transformers' own model keeps a mask token, which no reader of features uses.
    legacy["embeddings.mask_token"] = torch.zeros(1, config.hidden_size)
    weights = {name: tensor.to(dtype).contiguous() for name, tensor in legacy.items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    _write_json(folder / "config.json", _config_record(config, dtype))
    _write_json(folder / "preprocessor_config.json", _processor_record(settings))
    # safetensors makes files for their owner alone; Orthanc's user has to read them too.
    shutil.copymode(folder / "config.json", folder / WEIGHTS)
    return file_sha256(folder / WEIGHTS)


def write_head(
    record: BaseModel, labels: Sequence[Label], tensors: Mapping[str, NDArray[np.floating]], folder: Path
) -> None:
    """A head of any kind: head.toml, labels.toml where its outputs have labels, and its weights, float32."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "head.toml").write_text(to_toml(record.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    if labels:
        rows = [label.model_dump(mode="json", exclude_none=True) for label in labels]
        (folder / "labels.toml").write_text(to_toml({"label": rows}), encoding="utf-8")
    # safetensors writes memory as it lies; scikit-learn hands out Fortran order at times.
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}
    save_arrays(arrays, folder / "model.safetensors")
    shutil.copymode(folder / "head.toml", folder / "model.safetensors")


def write_model_file(record: Mapping[str, object], folder: Path) -> None:
    (folder / MODEL_FILE).write_text(to_toml(record), encoding="utf-8")


def write_digests(folder: Path) -> None:
    lines = [f"{file_sha256(folder / path)}  {path}\n" for path in model_files(folder)]
    (folder / DIGEST_FILE).write_text("".join(lines), encoding="utf-8")


def to_toml(record: Mapping[str, object], *, prefix: str = "") -> str:
    """Text, numbers, lists, tables and lists of tables as TOML; what a model folder needs of it."""
    lines, tables = [], []
    for key, value in record.items():
        name = f"{prefix}{_key(key)}"
        if isinstance(value, Mapping):
            tables.append(f"\n[{name}]\n" + to_toml(value, prefix=f"{name}."))
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            tables.extend(f"\n[[{name}]]\n" + to_toml(row, prefix=f"{name}.") for row in value)
        else:
            lines.append(f"{_key(key)} = {_value(value)}\n")
    return "".join(lines) + "".join(tables)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: object) -> str:
    # TOML's basic strings, numbers, booleans and arrays of them are written as JSON's.
    return json.dumps(value, ensure_ascii=False)


def _config_record(config: EncoderConfig, dtype: torch.dtype) -> dict[str, object]:
    fixed = {
        "architectures": ["Dinov2Model"],
        "model_type": "dinov2",
        "apply_layernorm": True,
        "reshape_hidden_states": True,
        "use_mask_token": True,
        "dtype": str(dtype).removeprefix("torch."),
    }
    record = {**fixed, **config.model_dump()}
    # transformers takes a whole number only.
    return record | ({"mlp_ratio": int(config.mlp_ratio)} if config.mlp_ratio.is_integer() else {})


def _processor_record(settings: EncoderInputSettings) -> dict[str, object]:
    return {
        "image_processor_type": "CuriaImageProcessor",
        "crop_size": settings.image_size,
        "clip_below_air": settings.clip_below_air,
        "do_normalize": True,
        "do_resize": True,
        "eps": settings.eps,
    }


def _write_json(path: Path, record: Mapping[str, object]) -> None:
    path.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
