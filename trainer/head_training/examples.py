"""Features of the table's studies, extracted once: a file for each, named by what it is a function of."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.documents import whole_file
from operators.domain.features import BLOCK, EncoderInput, EncoderInputSettings, FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.encoder.tensor_file import Blocks, FileTensor, is_intact, read_tensors, write_tensors
from operators.errors import CuriaError
from operators.heads.pooled import Inputs
from trainer.head_training.studies import EncodedSeries, StudyReader
from trainer.head_training.table import Row, Table

VERSION = 1
"""Counts up when the same files begin to give other features."""

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Example:
    """The features of one row, on disk.

    path : holds ``cls`` (S, D), ``mean`` (S, D), the mean token of each slice, and if kept ``tokens`` (S, N, D) and
        ``images`` (S, P, P) as the encoder saw them, in half precision
    """

    path: Path

    @cached_property
    def _tensors(self) -> dict[str, Features]:
        tensors = read_tensors(self.path)
        return {name: tensors[name][:] for name in ("cls", "mean", "affine") if name in tensors}

    @property
    def num_slices(self) -> int:
        return len(self._tensors["cls"])

    def slices(self, inputs: Inputs) -> Features:
        """(S, F): what a head reads of each slice, side by side."""
        return np.concatenate([self._tensors["cls" if name == "cls" else "mean"] for name in inputs], axis=1)

    def vector(self, inputs: Inputs) -> Features:
        """(F,): their mean over the slices, as `operators.heads.pooled` takes it."""
        return np.asarray(self.slices(inputs).mean(axis=0, dtype=np.float64), np.float32)

    def instances(self, taken: Sequence[str]) -> Features:
        """(n, D): CLS of each slice before the patch tokens, as far as *taken* names them."""
        parts = [self._tensors["cls"]] if "cls" in taken else []
        if "tokens" in taken:
            tokens = read_tensors(self.path)["tokens"][:]
            parts.append(tokens.reshape(-1, tokens.shape[-1]))
        return np.concatenate(parts)

    @property
    def features(self) -> FeatureVolume:
        """With the tokens, which stay in the file until they are taken."""
        tokens = read_tensors(self.path)["tokens"]
        side = round(tokens.shape[1] ** 0.5)
        geometry = Geometry(self._tensors["affine"].astype(np.float64), (self.num_slices, side, side))
        return FeatureVolume(self._tensors["cls"], tokens, geometry)

    @property
    def images(self) -> FileTensor:
        """(S, P, P) float16, in the file until they are taken."""
        return read_tensors(self.path)["images"]

    @property
    def encoder_input(self) -> EncoderInput:
        """The kept images, made ready as they are."""
        images = self.images[:].astype(np.float32)
        geometry = self.features.geometry.rescaled((len(images), *images.shape[1:]))

        def blocks(start: int, size: int) -> Iterator[Features]:
            for place in range(start, len(images), size):
                yield images[place : place + size, None]

        return EncoderInput(Volume(images, geometry), EncoderInputSettings(images.shape[1]), geometry, blocks)


@dataclass(frozen=True, slots=True, eq=False)
class ExampleStore:
    """A folder of features; several heads that are trained from it share what they have in common."""

    folder: Path
    reader: StudyReader

    def key(self, row: Row, *, keeps_tokens: bool, keeps_images: bool) -> str:
        """Hex SHA-256 of what the features are a function of: files by name, size and time, encoder, settings."""
        listing = {
            "version": VERSION,
            "files": files_of(row.study),
            "series": row.series,
            "encoder": self.reader.encoder.key,
            "settings": asdict(self.reader.encoder.settings),
            "modality": self.reader.modality,
            "values": self.reader.values,
            "slices": self.reader.slices,
            "tokens": keeps_tokens,
            "images": keeps_images,
        }
        return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()

    def collect(
        self,
        table: Table,
        *,
        keeps_tokens: Callable[[int], bool],
        keeps_images: bool,
        needs_mean: bool,
        done: Callable[[], None],
    ) -> tuple[Example, ...]:
        """The features of every row, in their order; what an earlier run left is not computed again.

        keeps_tokens : of the row with this place in the table
        keeps_images : of every row, which is then no feature file
        needs_mean : whether the mean token is read
        done : called after each row

        Raises
        ------
        HeadTrainingError
            A study cannot be read, or a feature file lacks the tokens; names the row.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        examples = []
        for place, row in enumerate(table.rows):
            key = self.key(row, keeps_tokens=keeps_tokens(place), keeps_images=keeps_images)
            path = self.folder / f"{key}.safetensors"
            if not (path.is_file() and is_intact(path)):
                try:
                    encoded = self.reader.features(row.study, row.series)
                except (CuriaError, ValueError, OSError) as error:
                    raise table.problem(row, str(error)) from error
                if encoded.features is None and (needs_mean or keeps_tokens(place)):
                    raise table.problem(
                        row,
                        f"{row.study.name} holds CLS alone and this head reads tokens; write it with --features tokens",
                    )
                if not _write(encoded, path, keeps_tokens=keeps_tokens(place), keeps_images=keeps_images):
                    raise table.problem(
                        row, f"{row.study.name}: expected finite features, some are not; encode it again"
                    )
            examples.append(Example(path))
            done()
        return tuple(examples)


def _write(encoded: EncodedSeries, path: Path, *, keeps_tokens: bool, keeps_images: bool) -> bool:
    """Whether the features are finite; nothing is written of others."""
    cls, features = np.asarray(encoded.cls, np.float32), encoded.features
    tensors, finite = {"cls": Blocks(cls.shape, (cls,))}, bool(np.isfinite(cls).all())
    if features is not None:
        means = np.concatenate([part.mean(axis=1, dtype=np.float64) for _, part in features.token_blocks()])
        finite = finite and bool(np.isfinite(means).all())
        tensors |= {"mean": Blocks(means.shape, (means,)), "affine": Blocks((4, 4), (features.geometry.affine,))}
        if keeps_tokens:
            tensors["tokens"] = Blocks(tuple(features.tokens.shape), (part for _, part in features.token_blocks()))
    if keeps_images and encoded.encoder_input is not None:
        slices = encoded.encoder_input
        shown = (np.asarray(block)[:, 0].astype(np.float16) for block in slices.blocks(0, BLOCK))
        tensors["images"] = Blocks(slices.geometry.shape, shown, "F16")
    if finite:
        with whole_file(path) as unfinished:
            write_tensors(tensors, unfinished)
    return finite


def files_of(study: Path) -> list[tuple[str, int, int]]:
    """What tells one state of a study from another: its files by name, size and time."""
    paths = sorted(path for path in study.rglob("*") if path.is_file()) if study.is_dir() else [study]
    return [(path.relative_to(study.parent).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
