"""Zip files of a study, unpacked without trusting them.

Nothing of a member but its bytes is used: files are numbered, so that no name can lead out of the folder, and names
often are those of patients.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from zlib import error as InflateError

from operators.errors import InputError

MAX_MEMBERS = 100_000
"""Members in all zip files of a study; the largest studies have some 20,000 images."""

MAX_UNPACKED_BYTES = 32 * 2**30
"""Bytes that all zip files of a study may unpack to, counted while they are written, not as they declare it."""

HEAD_BYTES = 132
"""Enough of a file to tell whether it is DICOM: the preamble and its mark."""

_CHUNK = 2**20
_BROKEN = (zipfile.BadZipFile, InflateError, EOFError, NotImplementedError, RuntimeError, ValueError)


class Unpacker:
    """Unpacks the members that look like DICOM; one for all zip files of a study, as the limits are for all.

    folder : empty, for the unpacked files
    is_wanted : told the first bytes of a member
    """

    def __init__(self, folder: Path, is_wanted: Callable[[bytes], bool]) -> None:
        self._folder = folder
        self._is_wanted = is_wanted
        self._num_members = 0
        self._num_bytes = 0
        self.num_other_files = 0

    def unpack(self, archives: Iterable[Path]) -> list[Path]:
        """The unpacked files. A zip file within a zip file counts as any other file.

        Raises
        ------
        InputError
            When a zip file is broken, encrypted or beyond the limits.
        """
        return [path for archive in archives for path in self._unpack_one(archive)]

    def _unpack_one(self, archive: Path) -> list[Path]:
        try:
            with zipfile.ZipFile(archive) as opened:
                self._count_members(len(opened.infolist()))
                return list(self._unpack_members(opened))
        except _BROKEN as error:
            raise InputError(
                "input: a zip file is broken, encrypted or packed by an unknown method; send it again or unpack it"
            ) from error

    def _unpack_members(self, opened: zipfile.ZipFile) -> Iterator[Path]:
        for member in opened.infolist():
            if member.is_dir():
                continue
            with opened.open(member) as packed:
                head = packed.read(HEAD_BYTES)
                if not self._is_wanted(head):
                    self.num_other_files += 1
                    continue
                path = self._folder / f"{self._num_bytes:015d}"
                with path.open("xb") as file:
                    self._write(head, file)
                    while chunk := packed.read(_CHUNK):
                        self._write(chunk, file)
            yield path

    def _count_members(self, count: int) -> None:
        self._num_members += count
        if self._num_members > MAX_MEMBERS:
            raise InputError(f"input: zip files with more than {MAX_MEMBERS} members are not unpacked; send the images")

    def _write(self, chunk: bytes, file: BinaryIO) -> None:
        self._num_bytes += len(chunk)
        if self._num_bytes > MAX_UNPACKED_BYTES:
            raise InputError(
                f"input: zip files unpack to more than {MAX_UNPACKED_BYTES // 2**30} GiB; send the images themselves"
            )
        file.write(chunk)
