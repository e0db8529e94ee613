"""``features.safetensors``: the encoder's output by series UID, for other programs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import FeatureVolume
from operators.encoder.tensor_file import Blocks, write_tensors

FILE_NAME = "features.safetensors"


def write_features(by_series: Mapping[str, FeatureVolume], folder: Path, *, with_tokens: bool) -> Path:
    """Write, for each series UID, ``cls`` (S, D), ``volume`` (D), ``positions_lps_mm`` (S, 3) and, when asked for,
    ``tokens`` (S, N, D); all float32, slices in the order of the published input convention.

    ``volume`` is the mean of the CLS tokens, as slice encoders are compared on volumes.
    """
    tensors: dict[str, Blocks] = {}
    for uid, features in by_series.items():
        tensors[f"{uid}/cls"] = _whole(features.cls)
        tensors[f"{uid}/volume"] = _whole(np.asarray(features.cls, np.float32).mean(axis=0))
        tensors[f"{uid}/positions_lps_mm"] = _whole(slice_centres(features))
        if with_tokens:
            blocks = (tokens for _, tokens in features.token_blocks())
            tensors[f"{uid}/tokens"] = Blocks(tuple(features.tokens.shape), blocks)
    path = folder / FILE_NAME
    write_tensors(tensors, path)
    return path


def slice_centres(features: FeatureVolume) -> NDArray[np.float64]:
    """(S, 3) LPS mm of the middle of each slice."""
    slices, rows, columns = features.geometry.shape
    indices = np.array([[k, (rows - 1) / 2, (columns - 1) / 2] for k in range(slices)])
    return features.geometry.positions(indices)


def _whole(array: NDArray[np.floating]) -> Blocks:
    return Blocks(array.shape, (array,))
