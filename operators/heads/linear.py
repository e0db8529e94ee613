"""A linear read-out of features, the only kind of weights that the heads here have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from operators.errors import CheckpointError

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """weight : (outputs, features) float32; bias : (outputs,) float32"""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, features: Any) -> Any:
        """(..., features) to (..., outputs)."""
        return features @ self.weight.T + self.bias


def read_linear(folder: Path, *, num_outputs: int, num_features: int) -> Linear:
    """Read ``weight`` and ``bias`` from a head folder.

    Raises
    ------
    CheckpointError
        A tensor is missing, or does not fit the labels or the encoder; both shapes are named.
    """
    place = f"{folder.name}/{WEIGHTS}"
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{place}: not readable as safetensors ({error})") from error
    expected = {"weight": (num_outputs, num_features), "bias": (num_outputs,)}
    if tensors.keys() != expected.keys():
        raise CheckpointError(f"{place}: expected the tensors {sorted(expected)}, got {sorted(tensors)}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"{place}: {name}: labels and encoder ask for shape {shape}, the file has {tensors[name].shape}"
            )
    return Linear(tensors["weight"].astype(np.float32), tensors["bias"].astype(np.float32))
