"""Zip files of a study, unpacked without trusting them.

Nothing of a member but its bytes is used: files are numbered, so that no name can lead out of the folder, and names
often are those of patients.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from zlib import error as InflateError

from operators.dicom.study.read_limits import ReadLimits
from operators.errors import InputError

HEAD_BYTES = 132
"""Enough of a file to tell whether it is DICOM: the preamble and its mark."""

_CHUNK = 2**20
_BROKEN = (zipfile.BadZipFile, InflateError, EOFError, NotImplementedError, RuntimeError, ValueError)


class Unpacker:
    """Unpacks the members that look like DICOM; one for all zip files of a study, as the limits are for all.

    folder : empty, for the unpacked files
    is_wanted : told the first bytes of a member
    """

    def __init__(self, folder: Path, is_wanted: Callable[[bytes], bool], limits: ReadLimits) -> None:
        self._folder = folder
        self._is_wanted = is_wanted
        self._limits = limits
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
            if member.header_offset < 0:
                raise zipfile.BadZipFile("a member before the start of the file")
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
        if self._num_members > self._limits.max_archive_members:
            raise InputError(
                f"input: zip files with more than {self._limits.max_archive_members} members are not unpacked "
                "(max_archive_members); send the images themselves"
            )

    def _write(self, chunk: bytes, file: BinaryIO) -> None:
        self._num_bytes += len(chunk)
        if self._num_bytes > self._limits.max_unpacked_bytes:
            raise InputError(
                f"input: zip files unpack to more than {self._limits.max_unpacked_bytes} bytes (max_unpacked_bytes); "
                "send the images themselves"
            )
        file.write(chunk)
