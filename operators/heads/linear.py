"""A linear map of features, and how a head's tensors are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from operators.errors import CheckpointError

WEIGHTS = "model.safetensors"

Tensors = dict[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear map.

    weight : (outputs, features) float32
    bias : (outputs,) float32; NumPy as read, torch `on` a device
    """

    weight: Any
    bias: Any

    def __call__(self, features: Any) -> Any:
        """(..., features) to (..., outputs)."""
        return features @ self.weight.T + self.bias

    @property
    def tensors(self) -> Tensors:
        """The map's tensors, as they are called in a head's file."""
        return {"weight": self.weight, "bias": self.bias}

    def on(self, device: str) -> "Linear":
        """The same map for torch tensors on *device*."""
        return Linear(torch.from_numpy(self.weight).to(device), torch.from_numpy(self.bias).to(device))


def named(parts: Mapping[str, Linear]) -> Tensors:
    """The tensors of several maps, each after its map's name."""
    return {f"{name}.{kind}": tensor for name, part in parts.items() for kind, tensor in part.tensors.items()}


def read_linear(folder: Path, *, num_outputs: int, num_features: int) -> Linear:
    """Read ``weight`` and ``bias`` from a head folder.

    Raises
    ------
    CheckpointError
        As `read_weights` says.
    """
    tensors = read_weights(folder, {"weight": (num_outputs, num_features), "bias": (num_outputs,)})
    return Linear(tensors["weight"], tensors["bias"])


def read_weights(folder: Path, shapes: Shapes, file: str = WEIGHTS) -> Tensors:
    """The tensors of a head folder, float32, each of the shape that labels and encoder ask for.

    Raises
    ------
    CheckpointError
        A tensor is missing, unexpected, not finite or of another shape; both shapes are named.
    """
    place = f"{folder.name}/{file}"
    try:
        tensors = load_file(folder / file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{place}: not readable as safetensors ({error})") from error
    if tensors.keys() != shapes.keys():
        raise CheckpointError(f"{place}: expected the tensors {sorted(shapes)}, got {sorted(tensors)}")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"{place}: {name}: labels and encoder ask for shape {shape}, the file has {tensors[name].shape}"
            )
        if not np.isfinite(tensors[name]).all():
            raise CheckpointError(f"{place}: {name}: expected finite values, some are not; get the file again")
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def first_length(folder: Path, name: str, file: str = WEIGHTS) -> int:
    """First length of one tensor: a length that labels and encoder do not tell.

    Raises
    ------
    CheckpointError
        The tensor is missing.
    """
    try:
        with safe_open(folder / file, framework="np") as opened:
            return int(opened.get_slice(name).get_shape()[0])
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder.name}/{file}: {name} cannot be read ({error})") from error
