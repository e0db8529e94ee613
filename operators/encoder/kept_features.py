"""Features that outlive a run, so that whoever points at a place on a page need not wait for the encoder.

Tokens are kept with unit length, so that a product of two is their cosine, in half precision, which moves it by less
than 0.001. The list of the series comes last: a folder without it holds nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.documents import write_whole
from operators.domain.features import BLOCK, FeatureVolume
from operators.domain.geometry import Geometry
from operators.encoder.tensor_file import Blocks, FileTensor, read_tensors, write_tensors
from operators.errors import InputError

FILE_NAME = "kept.json"
_TENSORS = "tokens.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class KeptSeries:
    """The tokens of a series, each of unit length.

    is_prior : the series is of an earlier study
    tokens : (S, N, D); an array, or a file's tensor that is read when a range of slices is taken from it
    geometry : of the (S, rows, columns) grid of token centres
    source : of the volume that was encoded
    """

    series_instance_uid: str
    is_prior: bool
    tokens: Any
    geometry: Geometry
    source: Geometry

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """The tokens a few slices at a time, each block with its place along the slice axis."""
        for start in range(0, self.geometry.shape[0], BLOCK):
            place = slice(start, min(start + BLOCK, self.geometry.shape[0]))
            yield place, np.asarray(self.tokens[place], np.float32)


def keep_features(
    by_series: Sequence[tuple[str, FeatureVolume, Geometry]], folder: Path, *, priors: frozenset[str] = frozenset()
) -> None:
    """Keep the tokens of series in *folder*, which is there and empty.

    by_series : UID, features and the grid of the volume they were made from
    priors : UIDs of the series among them that are of earlier studies
    """
    tensors = {
        uid: Blocks(tuple(features.tokens.shape), (unit(tokens) for _, tokens in features.token_blocks()), "F16")
        for uid, features, _ in by_series
    }
    write_tensors(tensors, folder / _TENSORS)
    listed = [
        {
            "series_instance_uid": uid,
            "is_prior": uid in priors,
            "tokens": _listed(features.geometry),
            "source": _listed(source),
        }
        for uid, features, source in by_series
    ]
    write_whole(folder / FILE_NAME, json.dumps(listed))


def kept_features(folder: Path) -> tuple[KeptSeries, ...]:
    """What `keep_features` left there.

    Raises
    ------
    InputError
        Nothing whole is there.
    """
    try:
        listed = json.loads((folder / FILE_NAME).read_bytes())
        tensors = read_tensors(folder / _TENSORS)
        return tuple(_series(entry, tensors) for entry in listed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"features: none are kept in {folder.name}; have the study encoded again") from error


def unit(tokens: Any) -> NDArray[np.float32]:
    """(..., D) with unit length; a token of zeros stays one."""
    tokens = np.asarray(tokens, np.float32)
    lengths = np.linalg.norm(tokens, axis=-1, keepdims=True)
    return np.asarray(tokens / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _series(entry: dict[str, Any], tensors: dict[str, FileTensor]) -> KeptSeries:
    uid, geometry = entry["series_instance_uid"], _geometry(entry["tokens"])
    slices, rows, columns = geometry.shape
    if tensors[uid].shape[:2] != (slices, rows * columns):
        raise ValueError(f"tokens of {uid}: {tensors[uid].shape} do not fit the grid {geometry.shape}")
    return KeptSeries(uid, bool(entry["is_prior"]), tensors[uid], geometry, _geometry(entry["source"]))


def _listed(geometry: Geometry) -> dict[str, Any]:
    return {
        "affine": geometry.affine.tolist(),
        "shape": list(geometry.shape),
        "frame_of_reference_uid": geometry.frame_of_reference_uid,
    }


def _geometry(entry: dict[str, Any]) -> Geometry:
    slices, rows, columns = entry["shape"]
    return Geometry(np.array(entry["affine"], np.float64), (slices, rows, columns), entry["frame_of_reference_uid"])
