"""Encoding a data set while its digest is taken, so that a large one is never in memory a second time as a whole."""

import hashlib
from typing import BinaryIO

from pydicom import Dataset


def encode_dataset(dataset: Dataset, file: BinaryIO | None = None) -> tuple[str, int]:
    """Write *dataset* as a DICOM file into *file*, or nowhere; hex SHA-256 of the bytes and their number."""
    target = _DigestingFile(file)
    dataset.save_as(target, enforce_file_format=True)
    return target.sha256, target.tell()


class _DigestingFile:
    """The part of a file that pydicom writes to; it never goes back."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._position = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, content: bytes | bytearray | memoryview, /) -> int:
        self._hash.update(content)
        if self._file is not None:
            self._file.write(content)
        self._position += len(content)
        return len(content)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise OSError("a file that is digested as it is written cannot be wound back")
