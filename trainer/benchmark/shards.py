"""Data sets in the layout in which CuriaBench is published: parquet shards with image, mask, target and filename.

``DIR/<name>/<part>-00000-of-00002.parquet``, or the parts as folders. An image is a picture file's bytes (a column of
bytes, or Hugging Face's ``{bytes, path}``), a NumPy file's bytes, or nested lists: (rows, columns), or slices first.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import ArrowInvalid

from operators.domain.volume import Volume
from trainer.benchmark.dataset import BenchmarkDataError, DataSet
from trainer.evaluation.folds import PARTS
from trainer.ingest.pictures import flat_volume, read_pixels

IMAGE, MASK, TARGET, FILENAME = "image", "mask", "target", "filename"
PATIENTS = ("patient_id", "series_id", FILENAME)
"""Columns that may tell people apart; the published layout promises the last alone."""

_IMAGE_TYPES = ("struct", "binary", "large_binary", "list", "large_list", "fixed_size")
_NUMPY = b"\x93NUMPY"
_PART = re.compile(r"|".join(sorted(PARTS, key=len, reverse=True)))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row lies: its shard, the row group in it, the row in that."""

    shard: Path
    group: int
    row: int


@dataclass(frozen=True, slots=True)
class _Shards:
    """Where a data set's images lie."""

    name: str
    places: tuple[_Place, ...]

    def read(self, row: int, column: str) -> Volume:
        place = self.places[row]
        cell = _read_group(place.shard, place.group, column)[place.row]
        try:
            return flat_volume(_pixels(cell))
        except (ValueError, OSError) as error:
            raise BenchmarkDataError(f"{self.name}: {place.shard.name}, row {row}, {column}: {error}") from error


def find_shards(data: Path, name: str) -> DataSet | None:
    """The data set of that name in or below *data*; None where it is not there.

    Raises
    ------
    BenchmarkDataError
        When a shard is no parquet file, lacks a column, or its part is unknown.
    """
    for folder in (data / name, *sorted(data.glob(f"*/{name}"))):
        shards = sorted(folder.rglob("*.parquet"))
        if shards:
            return read_shards(name, folder, shards)
    return None


def read_shards(name: str, folder: Path, shards: list[Path]) -> DataSet:
    """The table of all shards; images are read when they are asked for. See `find_shards`."""
    rows: list[Mapping[str, str]] = []
    places: list[_Place] = []
    digest = hashlib.sha256()
    for shard in shards:
        part = _part(shard.relative_to(folder), name)
        digest.update(f"{shard.relative_to(folder)} {shard.stat().st_size}\n".encode())
        for group, table in _tables(shard, name):
            for number, record in enumerate(table):
                digest.update(repr(sorted(record.items())).encode())
                rows.append({**record, "split": part})
                places.append(_Place(shard, group, number))
    if not rows:
        raise BenchmarkDataError(f"{name}: expected rows, the shards have none")
    patient = next(column for column in PATIENTS if column in rows[0])
    known = tuple({"patient_id": row[patient], **row} for row in rows)
    found = _Shards(name, tuple(places))
    return DataSet(name, digest.hexdigest(), known, found.read, found.read)


def _tables(shard: Path, name: str) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """Each row group's cells but for the images, of which only is told whether they are there."""
    try:
        file = pq.ParquetFile(shard)
    except (ArrowInvalid, OSError) as error:
        raise BenchmarkDataError(f"{name}: {shard.name}: expected a parquet file: {error}") from error
    columns = file.schema_arrow.names
    missing = [column for column in (IMAGE, FILENAME) if column not in columns]
    if missing:
        raise BenchmarkDataError(
            f"{name}: {shard.name}: expected the columns {', '.join(missing)}, the shard has {', '.join(columns)}"
        )
    images = [column for column in columns if _holds_images(file, column)]
    for group in range(file.num_row_groups):
        told = file.read_row_group(group, columns=[column for column in columns if column not in images]).to_pylist()
        there = {
            column: file.read_row_group(group, columns=[column])[column].is_valid().to_pylist() for column in images
        }
        yield (
            group,
            [
                {key: "" if value is None else str(value) for key, value in record.items()}
                | {column: column if valid[number] else "" for column, valid in there.items()}
                for number, record in enumerate(told)
            ],
        )


def _holds_images(file: pq.ParquetFile, column: str) -> bool:
    kind = str(file.schema_arrow.field(column).type)
    return column in (IMAGE, MASK) or kind.startswith(
        ("struct", "binary", "large_binary", "list", "large_list", "fixed_size")
    )


def _part(shard: Path, name: str) -> str:
    """Of the file's name, or of a folder's above it."""
    for word in (shard.name, *reversed(shard.parent.parts)):
        found = _PART.match(word.lower())
        if found:
            return found[0]
    raise BenchmarkDataError(f"{name}: {shard}: expected a name that begins with one of {', '.join(PARTS)}")


@lru_cache(maxsize=4)
def _read_group(shard: Path, group: int, column: str) -> list[Any]:
    cells: list[Any] = pq.ParquetFile(shard).read_row_group(group, columns=[column])[column].to_pylist()
    return cells


def _pixels(cell: Any) -> NDArray[np.float32]:
    """(H, W) or (S, H, W)"""
    if isinstance(cell, dict):
        cell = cell.get("bytes")
    if cell is None:
        raise ValueError("expected an image, got none")
    if isinstance(cell, bytes) and cell.startswith(_NUMPY):
        pixels = np.asarray(np.load(BytesIO(cell), allow_pickle=False), np.float32)
    elif isinstance(cell, bytes):
        pixels = read_pixels(cell)
    else:
        pixels = np.asarray(cell, np.float32)
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ValueError(f"expected (rows, columns) or (slices, rows, columns), got {pixels.shape}")
    return pixels
