"""Reading an encoder from a Hugging Face snapshot folder: local files, safetensors, nothing executed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from operators.documents import file_sha256, first_problem, listing_sha256
from operators.domain.features import EncoderInputSettings
from operators.encoder.key_names import to_our_names
from operators.encoder.vision_transformer import EncoderConfig, build_vision_transformer, interpolate_positions
from operators.errors import CheckpointError

Parsed = TypeVar("Parsed", bound=BaseModel)

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """An encoder as it lies on disk, in our tensor names, made ready for the size of images that its processor makes.

    config : of config.json, its image_size that of the processor; the positions are interpolated where the two differ
    state_dict : float32 on the CPU, complete for ``build_vision_transformer(config)``
    sha256 : of model.safetensors, the figure that publishers print; for shards, of their sha256sum listing
    """

    config: EncoderConfig
    input_settings: EncoderInputSettings
    state_dict: dict[str, Tensor]
    sha256: str


class _ProcessorConfig(BaseModel):
    """preprocessor_config.json of the published processor; what we would not repeat is refused."""

    model_config = ConfigDict(extra="ignore")

    image_processor_type: Literal["CuriaImageProcessor"] = "CuriaImageProcessor"
    crop_size: int = Field(gt=0)
    clip_below_air: bool = True
    do_normalize: Literal[True] = True
    do_resize: Literal[True] = True
    eps: float = Field(1e-6, gt=0)


class _ModelType(BaseModel):
    model_type: Literal["dinov2"]


class _ShardIndex(BaseModel):
    weight_map: dict[str, str]


def read_snapshot(folder: Path) -> Snapshot:
    """Read config.json, preprocessor_config.json and the weights, and check that they make one whole encoder.

    Raises
    ------
    CheckpointError
        A file is missing or malformed, or the first key that is missing, unexpected or of a wrong shape.
    """
    _parse(_ModelType, folder / "config.json")
    config = _parse(EncoderConfig, folder / "config.json")
    processor = _parse(_ProcessorConfig, folder / "preprocessor_config.json")
    if processor.crop_size % config.patch_size:
        raise CheckpointError(
            f"{folder.name}: preprocessor_config.json makes {processor.crop_size}-pixel images, "
            f"which config.json's patches of {config.patch_size} pixels do not divide"
        )
    settings = EncoderInputSettings(
        image_size=processor.crop_size, clip_below_air=processor.clip_below_air, eps=processor.eps
    )
    files = _weight_files(folder)
    state = to_our_names(_read_tensors(files))
    _check_complete(state, config)
    state = {name: tensor.to(torch.float32) for name, tensor in state.items()}
    config = config.model_copy(update={"image_size": processor.crop_size})
    state["pos_embed"] = interpolate_positions(state["pos_embed"], config.grid_size)
    return Snapshot(config, settings, state, _digest(files))


def _parse(model: type[Parsed], path: Path) -> Parsed:
    if not path.is_file():
        raise CheckpointError(f"{path.parent.name}/{path.name}: not found; a snapshot folder needs it")
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"{path.parent.name}/{path.name}: {first_problem(error)}") from error


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / WEIGHTS_INDEX).is_file():
        raise CheckpointError(f"{folder.name}: neither {WEIGHTS} nor {WEIGHTS_INDEX} is there")
    names = sorted(set(_parse(_ShardIndex, folder / WEIGHTS_INDEX).weight_map.values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise CheckpointError(f"{folder.name}/{WEIGHTS_INDEX}: names the shard {name!r}, which is not there")
    return [folder / name for name in names]


def _read_tensors(files: list[Path]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in files:
        try:
            tensors |= load_file(path)
        except SafetensorError as error:
            raise CheckpointError(f"{path.parent.name}/{path.name}: not readable as safetensors ({error})") from error
    return tensors


def _check_complete(state: dict[str, Tensor], config: EncoderConfig) -> None:
    """Nothing missing, nothing unexpected, every shape as config.json says."""
    if "register_tokens" in state:
        raise CheckpointError(
            f"snapshot: {state['register_tokens'].shape[1]} register tokens of shape "
            f"{tuple(state['register_tokens'].shape)}; expected an encoder without, as Curia's are"
        )
    with torch.device("meta"):
        expected = {name: tuple(t.shape) for name, t in build_vision_transformer(config).state_dict().items()}
    missing = [name for name in expected if name not in state]
    if missing:
        raise CheckpointError(
            f"snapshot: tensor {missing[0]!r} of shape {expected[missing[0]]} is missing ({len(missing)} in all)"
        )
    unexpected = [name for name in state if name not in expected]
    if unexpected:
        raise CheckpointError(
            f"snapshot: tensor {unexpected[0]!r} has no place in the architecture of config.json "
            f"({len(unexpected)} in all)"
        )
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise CheckpointError(
                f"snapshot: tensor {name!r}: config.json asks for shape {shape}, "
                f"the file has {tuple(state[name].shape)}"
            )


def _digest(files: list[Path]) -> str:
    if len(files) == 1:
        return file_sha256(files[0])
    return listing_sha256({path.name: file_sha256(path) for path in files})
