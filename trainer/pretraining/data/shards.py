"""WebDataset shards of slices, read: tar files in which a slice is ``KEY.npy.gz`` (int16) followed by ``KEY.json``.

Read by position, with nothing but the standard library and NumPy: a shard's index is made from its tar headers alone.
gzip's checksum tells a damaged slice.
"""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.pretraining.data.samples import SliceSample

PIXELS = "npy.gz"
FACTS = "json"
_BLOCK = 512
_DAMAGED = (ValueError, KeyError, TypeError, EOFError, OSError, zlib.error)


class DamagedShardError(Exception):
    """A shard, or a slice in it, that cannot be read.

    where : the shard's name, with the slice's number where it is one
    """

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"shard {where}: {why}")
        self.where = where
        self.why = why


@dataclass(frozen=True, slots=True, eq=False)
class ShardIndex:
    """Where a shard's slices lie.

    members : (n, 4) int64; offset and size in bytes of the pixels, and of the facts
    """

    path: Path
    members: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.members)


def index_shard(path: Path) -> ShardIndex:
    """The index of a shard, from the headers of the tar file.

    Raises
    ------
    DamagedShardError
        When it is cut short, or is no shard of slices.
    """
    try:
        found = list(_members(path))
        if [name for name, _, _ in found[::2]] != [name.removesuffix(FACTS) + PIXELS for name, _, _ in found[1::2]]:
            raise ValueError(f"expected {PIXELS} and {FACTS} of each slice in turn")
        places = [(offset, size) for _, offset, size in found]
        return ShardIndex(path, np.array(places, np.int64).reshape(-1, 4))
    except _DAMAGED as error:
        raise DamagedShardError(path.name, str(error)) from error


def read_slice(index: ShardIndex, number: int) -> SliceSample:
    """One slice.

    Raises
    ------
    DamagedShardError
        When its bytes are not what was written.
    """
    offset, size, facts_offset, facts_size = (int(value) for value in index.members[number])
    try:
        with open(index.path, "rb", buffering=0) as file:
            # Both lie side by side, so that one request brings them.
            read = os.pread(file.fileno(), facts_offset + facts_size - offset, offset)
        pixels = decode_pixels(read[:size])
        facts = json.loads(read[facts_offset - offset :])
        row_spacing, column_spacing = facts.pop("spacing_mm")
        # Shards written before this was told hold no grey levels.
        facts.setdefault("values", "HU" if facts["modality"] == "CT" else "scanner units")
        return SliceSample(pixels=pixels, spacing_mm=(row_spacing, column_spacing), **facts)
    except _DAMAGED as error:
        raise DamagedShardError(f"{index.path.name}, slice {number}", str(error)) from error


def decode_pixels(content: bytes) -> NDArray[np.int16]:
    """(H, W) of an .npy file under gzip.

    Raises
    ------
    ValueError, OSError, EOFError, zlib.error
        When the bytes are none.
    """
    plain = io.BytesIO(gzip.decompress(content))
    pixels: NDArray[np.int16] = np.lib.format.read_array(plain, allow_pickle=False)
    if pixels.dtype != np.int16 or pixels.ndim != 2:
        raise ValueError(f"expected a plane of int16, got {pixels.ndim} dimensions of {pixels.dtype}")
    return pixels


def read_shards(pattern: str) -> Iterator[SliceSample]:
    """Every slice of the shards that *pattern* names, in their order."""
    for path in list_shards(pattern):
        index = index_shard(path)
        for number in range(len(index)):
            yield read_slice(index, number)


def list_shards(pattern: str) -> list[Path]:
    """Sorted by path; ``*`` may stand for folders too.

    Raises
    ------
    ValueError
        When *pattern* names none.
    """
    paths = sorted(map(Path, glob(pattern)))
    if not paths:
        raise ValueError(f"data.shards: no file fits {pattern!r}; run `python -m trainer ingest` first")
    return paths


def _members(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each member (POSIX.1-1988 ustar)."""
    with open(path, "rb", buffering=0) as file:
        descriptor, end = file.fileno(), os.fstat(file.fileno()).st_size
        offset = 0
        while (header := os.pread(descriptor, _BLOCK, offset)).strip(b"\0"):
            if len(header) < _BLOCK or header[257:262] != b"ustar":
                raise ValueError(f"expected a tar header at byte {offset}")
            size = int(header[124:136].rstrip(b"\0 "), 8)
            offset += _BLOCK
            if offset + size > end:
                raise ValueError(f"ends after {end} bytes, inside a member of {size} bytes at {offset}")
            yield header[:100].rstrip(b"\0").decode(), offset, size
            offset += -(-size // _BLOCK) * _BLOCK
        if not header:
            raise ValueError(f"ends after {end} bytes without a tar file's end; it was not written whole")
