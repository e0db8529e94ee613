"""Features on disk, so that another head or tomorrow's comparison does not encode the same series again.

An entry is a file of features, named by what they are a function of: voxels and grid, weights, settings, and how many
blocks' outputs are kept beside the last norm's.
Files appear whole under their name and are read through an open file, so that several processes may share a folder:
one may drop what another is still reading.
"""

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from operators.documents import UNFINISHED, whole_file
from operators.domain.features import EncoderInput, FeatureVolume
from operators.encoder.features import Encoder
from operators.encoder.tensor_file import is_intact
from operators.errors import ModelError

VERSION = 2
"""Version of the features, to be raised when the same voxels, weights and settings begin to give other features."""

ABANDONED_AFTER_SECONDS = 24 * 3600
"""A file that was begun so long ago and has no name yet belongs to a process that ended early."""


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """A folder for features; the least recently used go when it grows over its limit.

    Raises
    ------
    ModelError
        The folder cannot be made or written to.
    """

    folder: Path
    limit_bytes: int

    def __post_init__(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ModelError(f"feature cache: {self.folder} cannot be made ({error.strerror})") from error
        if not os.access(self.folder, os.W_OK):
            raise ModelError(f"feature cache: {self.folder} cannot be written to; choose another folder")

    def entry(self, encoder_input: EncoderInput, encoder: Encoder, *, blocks: int = 0) -> "CacheEntry":
        """Where the features of a series are or will be; reads all its voxels once.

        blocks : of which the outputs before the final norm are kept too
        """
        listing = {
            "version": VERSION,
            "source": source_digest(encoder_input),
            "encoder": encoder.sha256,
            "precision": encoder.precision,
            "settings": asdict(encoder_input.settings),
            "blocks": blocks,
        }
        name = hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()
        return CacheEntry(self, self.folder / f"{name}.safetensors", encoder_input, encoder, blocks)

    def evict(self) -> None:
        """Drop the least recently used entries, the newest too where it alone is over the limit."""
        now, total = time.time(), 0
        for modified, size, path in sorted(self._files(), reverse=True):
            if path.suffix == UNFINISHED:
                keep = now - modified < ABANDONED_AFTER_SECONDS
            else:
                total += size
                keep = total <= self.limit_bytes
            if not keep:
                path.unlink(missing_ok=True)

    def _files(self) -> list[tuple[float, int, Path]]:
        files = []
        for path in (*self.folder.glob("*.safetensors"), *self.folder.glob(f"*{UNFINISHED}")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another process dropped it
            files.append((status.st_mtime, status.st_size, path))
        return files


@dataclass(frozen=True, slots=True, eq=False)
class CacheEntry:
    """One series under one encoder."""

    cache: FeatureCache
    path: Path
    encoder_input: EncoderInput
    encoder: Encoder
    blocks: int

    def find(self) -> FeatureVolume | None:
        """The features if they are there and whole; an entry that is not is dropped."""
        try:
            if is_intact(self.path):
                os.utime(self.path)
                return self.encoder.read_file(self.encoder_input, self.path, blocks=self.blocks)
        except FileNotFoundError:
            return None
        except ValueError:
            # The bytes are those that were written, but another program wrote them.
            pass
        self.path.unlink(missing_ok=True)
        return None

    def encode(self) -> FeatureVolume:
        """Encode, and keep the features."""
        with whole_file(self.path) as unfinished:
            features = self.encoder.encode_to_file(self.encoder_input, unfinished, blocks=self.blocks)
        self.cache.evict()
        return features


def source_digest(encoder_input: EncoderInput) -> str:
    """Hex SHA-256 over the voxels and their grid.

    Of what is encoded, not of the files: headers that were corrected under the same UIDs never find old features.
    """
    source = encoder_input.source
    digest = hashlib.sha256(repr((source.array.dtype.str, source.geometry.shape)).encode())
    digest.update(np.ascontiguousarray(source.geometry.affine).tobytes())
    digest.update(source.geometry.frame_of_reference_uid.encode())
    for image in source.array:
        digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
