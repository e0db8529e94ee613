"""Features of a data set's images by one model, computed once and kept on disk chunk by chunk.

A chunk is written whole or not at all, so a run that was killed goes on after its last whole chunk.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from operators.documents import whole_file
from operators.domain.features import FeatureVolume
from operators.domain.volume import Volume
from operators.encoder.pooling import mean_pooled, roi_pooled
from operators.errors import InputError
from trainer.benchmark.dataset import BenchmarkDataError, DataSet, mask_on
from trainer.features.slice_models import FeatureModel, Values

VERSION = 1
"""Counts up when images are read or features are made in another way."""

CHUNK = 32
"""Images in a file."""

PIXELS_OF_A_TOKEN = 16
"""Side of a token in the pixels that a mask is resized to before a token counts as touched, as the published heads do
at 512 pixels."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureRequest:
    """Which features of which images.

    region : column of the mask whose tokens are averaged; "" for none
    region_from : values of the mask from which it counts
    rows : of the data set, ascending
    token_rows : of them those whose tokens are kept one by one
    """

    image: str
    values: Values
    slices: int
    region: str
    region_from: float
    rows: tuple[int, ...]
    token_rows: frozenset[int]

    @property
    def key(self) -> str:
        """A short digest of what is computed."""
        told = (self.image, self.values, self.slices, self.region, self.region_from, self.rows, sorted(self.token_rows))
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.rows[start : start + CHUNK] for start in range(0, len(self.rows), CHUNK))


@dataclass(frozen=True)
class FeatureTable:
    """What is on disk for a request; vectors are read at once, tokens one image at a time.

    folder : of the chunks
    """

    request: FeatureRequest
    folder: Path

    @cached_property
    def _chunks(self) -> dict[int, tuple[Path, int]]:
        """File and place in it of each row."""
        return {
            row: (self.folder / chunk_name(number), place)
            for number, rows in enumerate(self.request.chunks)
            for place, row in enumerate(rows)
        }

    @cached_property
    def _arrays(self) -> dict[str, Floats]:
        parts: dict[str, list[Floats]] = {}
        for number in range(len(self.request.chunks)):
            with safe_open(self.folder / chunk_name(number), "np") as file:
                for name in ("cls", "mean", "region"):
                    if name in file.keys():
                        parts.setdefault(name, []).append(file.get_tensor(name))
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}

    def vectors(self, rows: tuple[int, ...]) -> Floats:
        """(n, F): the mean over the region where one is asked for; else CLS and the mean of the tokens, side by side.

        Of a volume the mean over its slices.
        """
        places = np.searchsorted(self.request.rows, rows)
        if self.request.region:
            return self._arrays["region"][places]
        return np.concatenate([self._arrays["cls"][places], self._arrays["mean"][places]], axis=1)

    def tokens(self, row: int) -> Floats:
        """(S, N, D) of a row whose tokens are kept."""
        path, _ = self._chunks[row]
        with safe_open(path, "np") as file:
            return np.asarray(file.get_tensor(f"tokens.{row}"), np.float32)

    def seconds(self) -> float:
        """What the model took, also where that was in an earlier run."""
        return sum(_metadata(self.folder / chunk_name(number))["seconds"] for number in range(len(self.request.chunks)))


def chunk_name(number: int) -> str:
    return f"chunk-{number:05d}.safetensors"


def table_folder(cache: Path, model_key: str, dataset: DataSet, request: FeatureRequest) -> Path:
    """Where the features of a request lie."""
    return cache / f"features-{VERSION}" / model_key / f"{dataset.name}-{dataset.digest[:12]}-{request.key}"


def missing_chunks(folder: Path, request: FeatureRequest) -> Iterator[int]:
    """Numbers of the chunks that are still to be computed."""
    for number in range(len(request.chunks)):
        if not (folder / chunk_name(number)).exists():
            yield number


def compute_chunk(model: FeatureModel, dataset: DataSet, request: FeatureRequest, folder: Path, number: int) -> None:
    """Compute and write one chunk of a request.

    Raises
    ------
    BenchmarkDataError
        When an image cannot be read, a mask has another shape than its image, or a region is empty.
    """
    started = time.perf_counter()
    arrays: dict[str, list[Floats]] = {"cls": [], "mean": []}
    tokens: dict[str, NDArray[np.float16]] = {}
    for row in request.chunks[number]:
        volume = dataset.read_image(row, request.image)
        region, candidates = None, np.arange(volume.array.shape[0])
        if request.region:
            mask = mask_on(volume, dataset.read_mask(row, request.region), name=f"{dataset.name}: {request.region}")
            region = mask >= request.region_from
            candidates = np.flatnonzero(region.any(axis=(1, 2)))
            if not len(candidates):
                raise BenchmarkDataError(
                    f"{dataset.name}: row {row + 2}: {request.region}: expected a mask, got an empty one"
                )
        places = candidates[slice_places(len(candidates), request.slices)]
        features = model.features(thinned(volume, places), request.values)
        arrays["cls"].append(np.asarray(features.cls, np.float32).mean(axis=0))
        arrays["mean"].append(mean_pooled(features).mean(axis=0))
        if region is not None:
            pooled = _pooled(features, region[places], name=f"{dataset.name}: row {row + 2}")
            arrays.setdefault("region", []).append(pooled)
        if row in request.token_rows:
            tokens[f"tokens.{row}"] = np.asarray(features.tokens[:], np.float16)
    stacked = {name: np.stack(rows) for name, rows in arrays.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / chunk_name(number)) as unfinished:
        save_file({**stacked, **tokens}, unfinished, metadata={"seconds": json.dumps(time.perf_counter() - started)})


def slice_places(depth: int, most: int) -> NDArray[np.int64]:
    """At most *most* of *depth* slices, evenly spaced, from the first to the last."""
    return np.unique(np.linspace(0, depth - 1, min(depth, most)).round().astype(np.int64))


def thinned(volume: Volume, places: NDArray[np.int64]) -> Volume:
    """Only the slices at *places*, on a grid with their mean distance."""
    geometry = volume.geometry
    if len(places) == geometry.shape[0]:
        return volume
    step = (places[-1] - places[0]) / max(len(places) - 1, 1) or 1.0
    shape = (len(places), geometry.shape[1], geometry.shape[2])
    grid = geometry.sampled((places[0], 0, 0), (step, 1, 1), shape)
    return Volume(np.ascontiguousarray(volume.array[places]), grid)


def _pooled(features: FeatureVolume, region: NDArray[np.bool_], *, name: str) -> Floats:
    """(D,) the mean of the tokens that the region touches."""
    try:
        return np.asarray(roi_pooled(features, region.astype(np.float32), patch_size=PIXELS_OF_A_TOKEN), np.float32)
    except InputError as error:
        raise BenchmarkDataError(f"{name}: {error}") from error


def _metadata(path: Path) -> dict[str, float]:
    with safe_open(path, "np") as file:
        return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
