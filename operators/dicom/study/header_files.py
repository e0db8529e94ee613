"""One file to its header without pixels, and what else a file may be."""

import zlib
from enum import Enum
from io import SEEK_END, BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from operators.dicom.study.header_values import UNREADABLE, is_uid, text_of
from operators.dicom.study.plain_header import PREFIX_BYTES, read_plain_header
from operators.dicom.study.read_limits import DEFAULT_LIMITS, ReadLimits
from operators.errors import InputError

UNDEFINED_LENGTH = 0xFFFFFFFF

MAX_PRIVATE_BYTES = 1024
"""Larger private attributes are dropped: a vendor's protocol weighs 100 KB in each slice and is never used."""

_HEAD_BYTES = 512
_ODD_GROUP = 0x00010000
_SMALL_READ = 4096
_MARK = b"DICM"
_MARK_AT = slice(128, 132)
_ZIP_MARK = b"PK\x03\x04"
_META_LENGTH_AT = slice(140, 144)
_META_END = 144
_FIRST_ELEMENTS = (0x0000, 0x0001, 0x0005, 0x0006, 0x0008, 0x0012, 0x0013, 0x0014, 0x0016, 0x0018)
_TEXTUAL_VRS = (b"UL", b"CS", b"DA", b"TM", b"UI", b"SH", b"SQ")
_BROKEN = (InvalidDicomError, zlib.error, OSError, *UNREADABLE)


class BoundedFile(BufferedReader):
    """A file that never makes room for more bytes than it holds.

    pydicom asks for as many bytes as an element says that it has, and Python allocates them before it reads: a length
    of 4 GB in a file of 1 KB would take the memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self._size = self.seek(0, SEEK_END)
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _SMALL_READ:
            size = min(size, max(self._size - self.tell(), 0))
        return super().read(size)


class UnreadFile(Enum):
    """What a file is when it is no DICOM file that can be read."""

    OTHER = "not DICOM"
    ARCHIVE = "a zip file"
    BROKEN = "DICOM that ends in its header"
    CLOSED = "a file that cannot be opened"


def read_header(path: Path, limits: ReadLimits = DEFAULT_LIMITS) -> tuple[Dataset, bool] | UnreadFile:
    """The header and whether pixel data follows it; pixels are not read.

    Raises
    ------
    InputError
        When a deflated file unpacks to more than the limit.
    """
    try:
        with BoundedFile(path) as file:
            head = file.read(PREFIX_BYTES)
            plain = read_plain_header(head)
            if plain:
                _drop_bulky_private(plain)
                return plain, True
            file.seek(0)
            return _read(file, head[:_HEAD_BYTES], limits)
    except PermissionError:
        return UnreadFile.CLOSED


def looks_like_dicom(head: bytes) -> bool:
    """Told from the first 132 bytes; without a preamble the first element must be one that data sets start with."""
    return head[_MARK_AT] == _MARK or _starts_as_dataset(head)


def _read(file: BinaryIO, head: bytes, limits: ReadLimits) -> tuple[Dataset, bool] | UnreadFile:
    if head.startswith(_ZIP_MARK):
        return UnreadFile.ARCHIVE
    if head[_MARK_AT] == _MARK:
        _check_inflated_size(file, head, limits.max_inflated_bytes)
        return _read_marked(file)
    return _read_bare(file) if _starts_as_dataset(head) else UnreadFile.OTHER


def _read_marked(file: BinaryIO) -> tuple[Dataset, bool] | UnreadFile:
    try:
        header, has_pixel_data = _until_pixels(file)
    except _BROKEN:
        return UnreadFile.BROKEN
    return header, has_pixel_data


def _read_bare(file: BinaryIO) -> tuple[Dataset, bool] | UnreadFile:
    """A data set without preamble: only one that names a SOP class and an instance is taken for DICOM."""
    try:
        header, has_pixel_data = _until_pixels(file)
        if not (is_uid(text_of(header, "SOPClassUID")) and is_uid(text_of(header, "SOPInstanceUID"))):
            return UnreadFile.OTHER
    except _BROKEN:
        return UnreadFile.OTHER
    if "TransferSyntaxUID" not in header.file_meta:
        header.file_meta.TransferSyntaxUID = _guessed_syntax(header)
    return header, has_pixel_data


def _guessed_syntax(header: Dataset) -> UID:
    is_implicit, is_little_endian = header.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _until_pixels(file: BinaryIO) -> tuple[Dataset, bool]:
    header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
    # A deflated data set is unpacked whole, so the position in the file tells nothing.
    deflated = header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    has_pixel_data = deflated or bool(file.read(1))
    # pydicom takes the end of the file for the end of the header, so a file cut short reads like a shorter one.
    if not has_pixel_data and (not header or _ends_inside_element(header)):
        raise EOFError
    _drop_bulky_private(header)
    return header, has_pixel_data


def _ends_inside_element(header: Dataset) -> bool:
    last = header.get_item(max(header.keys()))
    if not isinstance(last, RawDataElement) or last.value is None:
        return False
    return len(last.value) < last.length < UNDEFINED_LENGTH


def _drop_bulky_private(header: Dataset) -> None:
    private = [tag for tag in header.keys() if tag & _ODD_GROUP]
    for tag in private:
        element = header.get_item(tag)
        if isinstance(element, RawDataElement) and MAX_PRIVATE_BYTES < element.length < UNDEFINED_LENGTH:
            del header[tag]


def _starts_as_dataset(head: bytes) -> bool:
    """Little endian, group 0008 or the meta group, then a value representation or a length that fits the first one."""
    group, element = int.from_bytes(head[0:2], "little"), int.from_bytes(head[2:4], "little")
    if group not in (0x0002, 0x0008) or element not in _FIRST_ELEMENTS or len(head) < 8:
        return False
    return head[4:6] in _TEXTUAL_VRS or int.from_bytes(head[4:8], "little") <= 64


def _check_inflated_size(file: BinaryIO, head: bytes, limit: int) -> None:
    if DeflatedExplicitVRLittleEndian.encode() not in head:
        return
    file.seek(_META_END + int.from_bytes(head[_META_LENGTH_AT], "little"))
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    packed = file.read()
    file.seek(0)
    try:
        while packed and not inflater.eof:
            size += len(inflater.decompress(packed, 2**20))
            packed = inflater.unconsumed_tail
            if size > limit:
                raise InputError(f"input: a deflated file unpacks to more than {limit} bytes (max_inflated_bytes)")
    except zlib.error:
        return  # reading it will say that it is broken
