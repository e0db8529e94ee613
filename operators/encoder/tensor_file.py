"""safetensors files that are written and read a block at a time, so that tokens of a long series need no memory.

The format: eight bytes little endian with the header's length, the header in JSON (a table of dtype, shape and place of
each tensor, and ``__metadata__``), then the tensors one after the other. Here all are float32 or float16.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

DIGEST = "sha256"
"""The metadata's entry for the digest of all that follows the header."""

_LENGTH_BYTES = 8
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
"""NumPy's types by their names in the format."""
_LONGEST_HEADER = 100_000_000
"""What the safetensors library accepts."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A tensor that is still being made: *blocks* are parts of it along its first axis, in order.

    dtype : that they are written in
    """

    shape: tuple[int, ...]
    blocks: Iterable[NDArray[Any]]
    dtype: Literal["F32", "F16"] = "F32"

    @property
    def num_bytes(self) -> int:
        return int(np.prod(self.shape)) * _DTYPES[self.dtype].itemsize


class _OpenFile:
    """Open for reading until nobody needs it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True, eq=False)
class FileTensor:
    """A tensor in a file; ranges along its first axis are read when they are taken: ``tensor[start:stop]``.

    The open file keeps the tensor there after the file's name is gone.
    """

    file: _OpenFile
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any] = _DTYPES["F32"]

    def __getitem__(self, place: slice) -> NDArray[Any]:
        start, stop, step = place.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"tensor in a file: expected a range without a step, got {place}")
        shape = (max(stop - start, 0), *self.shape[1:])
        row_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        array = np.empty(shape, self.dtype)
        _read_into(self.file, array.reshape(-1).data.cast("B"), self.offset + start * row_bytes)
        return array


@dataclass(frozen=True, slots=True, eq=False)
class TensorPart:
    """The same rows and columns of each matrix of a tensor in a file, read when they are taken."""

    tensor: FileTensor
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, ...]:
        first, rows, columns = self.tensor.shape
        return first, len(range(*self.rows.indices(rows))), len(range(*self.columns.indices(columns)))

    def __getitem__(self, place: slice) -> NDArray[Any]:
        return self.tensor[place][:, self.rows, self.columns]


def write_tensors(tensors: Mapping[str, Blocks], path: Path) -> None:
    """Write the tensors in the order given, each block as it comes, with the digest of their bytes.

    Raises
    ------
    ValueError
        The blocks of a tensor do not add up to its shape.
    """
    digest = hashlib.sha256()
    with path.open("wb") as file:
        file.write(_header(tensors, "0" * 64))
        for name, tensor in tensors.items():
            rows = 0
            for block in tensor.blocks:
                content = np.ascontiguousarray(block, _DTYPES[tensor.dtype]).reshape(-1).data.cast("B")
                digest.update(content)
                file.write(content)
                rows += len(block)
            if rows != tensor.shape[0]:
                raise ValueError(f"tensor {name!r}: expected {tensor.shape[0]} rows, got {rows}")
        file.seek(0)
        # As long as before: a digest takes the place of a digest.
        file.write(_header(tensors, digest.hexdigest()))


def read_tensors(path: Path) -> dict[str, FileTensor]:
    """The tensors of a file that `write_tensors` wrote; they share one open file. The digest is not checked.

    Raises
    ------
    ValueError
        The file is no such file, or it was cut short.
    """
    opened = _OpenFile(path)
    tensors = {}
    try:
        with open(opened.descriptor, "rb", closefd=False) as file:
            header, start = _read_header(file)
        size = os.fstat(opened.descriptor).st_size
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            shape, dtype = tuple(entry["shape"]), _DTYPES[entry["dtype"]]
            if last - first != int(np.prod(shape)) * dtype.itemsize or start + last > size:
                raise ValueError(f"tensor {name!r}: its place in {path.name} does not fit its shape {shape}")
            tensors[name] = FileTensor(opened, start + first, shape, dtype)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: not a file of float32 or float16 tensors ({error})") from error
    return tensors


def is_intact(path: Path) -> bool:
    """Whether the bytes after the header are those that were written."""
    with path.open("rb") as file:
        try:
            header, start = _read_header(file, keep_metadata=True)
            expected = header["__metadata__"][DIGEST]
        except (ValueError, KeyError, TypeError):
            return False
        file.seek(start)
        return bool(hashlib.file_digest(file, "sha256").hexdigest() == expected)


def _header(tensors: Mapping[str, Blocks], digest: str) -> bytes:
    record: dict[str, Any] = {"__metadata__": {DIGEST: digest}}
    place = 0
    for name, tensor in tensors.items():
        end = place + tensor.num_bytes
        record[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(record).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _read_header(file: BinaryIO, *, keep_metadata: bool = False) -> tuple[dict[str, Any], int]:
    """The header's table, and where the tensors begin."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    header: dict[str, Any] = json.loads(file.read(length))
    if not keep_metadata:
        header.pop("__metadata__", None)
    return header, _LENGTH_BYTES + length


def _read_into(file: _OpenFile, target: memoryview, offset: int) -> None:
    done = 0
    while done < len(target):
        count = os.preadv(file.descriptor, [target[done:]], offset + done)
        if count == 0:
            raise ValueError(f"tensor in a file: it ends {len(target) - done} bytes too early")
        done += count
