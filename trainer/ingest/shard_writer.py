"""Slices to WebDataset shards of bounded size, under another name until the journal knows them."""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from operators.documents import UNFINISHED, sync_to_disk
from trainer.ingest.pseudonyms import Split
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.data.shards import FACTS, PIXELS

_LEVEL = 3
"""libdeflate's: 1 is a third quicker and 1 to 4 % larger, 9 takes five times as long for 2 %."""


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A line of the manifest; *name* is relative to the folder, as in ``train/0f3a-0000.tar``."""

    name: str
    split: Split
    num_slices: int
    num_bytes: int
    sha256: str


class ShardWriter:
    """Writes shards ``SPLIT/STEM-0000.tar.part`` and so on, each about *shard_bytes* long.

    The name ends in `UNFINISHED` because a shard does not count until the journal has it.

    Used in a ``with``; `records` tells afterwards what was written, every byte of it on the disk.
    """

    def __init__(self, folder: Path, split: Split, stem: str, *, shard_bytes: int) -> None:
        self.records: list[ShardRecord] = []
        self._folder = folder
        self._split = split
        self._stem = stem
        self._shard_bytes = shard_bytes
        self._open: _OpenShard | None = None

    def write(self, sample: SliceSample) -> int:
        """Add a slice; the bytes that it takes."""
        shard = self._open = self._open or _OpenShard(self._folder / self._next_name())
        num_bytes = shard.add(sample)
        if shard.num_bytes >= self._shard_bytes:
            self._close()
        return num_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._close()
        elif self._open:
            self._open.abandon()

    def _next_name(self) -> str:
        return f"{self._split}/{self._stem}-{len(self.records):04d}.tar{UNFINISHED}"

    def _close(self) -> None:
        if shard := self._open:
            name = self._next_name().removesuffix(UNFINISHED)
            sha256 = shard.close()
            self.records.append(ShardRecord(name, self._split, shard.num_slices, shard.num_bytes, sha256))
            self._open = None


class _OpenShard:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self.num_slices = 0
        self._path = path
        self._file = path.open("wb")
        self._hashed = _HashedFile(self._file)
        self._tar = tarfile.open(fileobj=cast(BinaryIO, self._hashed), mode="w", format=tarfile.USTAR_FORMAT)

    @property
    def num_bytes(self) -> int:
        return self._hashed.num_bytes

    def add(self, sample: SliceSample) -> int:
        pixels = encode_pixels(sample.pixels)
        facts = json.dumps(
            {
                "spacing_mm": sample.spacing_mm,
                "modality": sample.modality,
                "values": sample.values,
                "plane": sample.plane,
                "region": sample.region,
                "patient": sample.patient,
                "key": sample.key,
            }
        ).encode()
        for ending, content in ((PIXELS, pixels), (FACTS, facts)):
            member = tarfile.TarInfo(f"{sample.key}.{ending}")
            member.size = len(content)
            self._tar.addfile(member, io.BytesIO(content))
        self.num_slices += 1
        return len(pixels) + len(facts)

    def close(self) -> str:
        """Finish the file, see it onto the disk; its SHA-256."""
        self._tar.close()
        self._file.close()
        sync_to_disk(self._path)
        return self._hashed.sha256.hexdigest()

    def abandon(self) -> None:
        """Leave the file as it is; the journal removes it."""
        self._file.close()


class _HashedFile:
    """What tarfile streams to."""

    def __init__(self, file: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self.num_bytes = 0
        self._file = file

    def tell(self) -> int:
        return self.num_bytes

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self.num_bytes += len(content)
        return self._file.write(content)


def encode_pixels(pixels: NDArray[np.int16]) -> bytes:
    """gzip of an .npy file, which every reader of WebDatasets knows."""
    plain = io.BytesIO()
    np.lib.format.write_array(plain, pixels, allow_pickle=False)
    return bytes(imagecodecs.gzip_encode(plain.getvalue(), level=_LEVEL))
