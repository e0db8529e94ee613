"""Where a file keeps its pixel data, and the stored bytes of one frame.

The index has parsed the header already. In a plain uncompressed file the pixels are the last element, so their place
follows from their size and the header is not parsed a second time.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import pydicom
from pydicom.encaps import generate_frames
from pydicom.uid import UID, AllTransferSyntaxes, DeflatedExplicitVRLittleEndian

from operators.dicom.pixels.pixel_format import PixelFormat
from operators.dicom.study.header_files import BoundedFile
from operators.dicom.study.header_values import UNREADABLE, text_of, value_of
from operators.dicom.study.study_index import Instance
from operators.errors import UnsupportedPixelDataError

UNFIT = (OSError, RuntimeError, *UNREADABLE)
"""What pydicom and the decoders raise on pixel data that they cannot make sense of."""

_UNDEFINED_LENGTH = 0xFFFFFFFF
_TAG = b"\xe0\x7f\x10\x00"
_BIG_ENDIAN_TAG = b"\x7f\xe0\x00\x10"
_HEADER_BYTES = 12
_WORD_VRS = (b"OW\0\0", b"OB\0\0")


@dataclass(frozen=True, slots=True, eq=False)
class StoredPixels:
    """The pixel data of one instance.

    offset : of its first byte in the file
    frames : the stored bytes of each frame, where they cannot be read from the file one by one
    """

    instance: Instance
    syntax: UID
    pixel_format: PixelFormat
    offset: int
    frames: tuple[bytes, ...] = ()

    def read_frame(self, frame: int) -> bytes:
        """The stored bytes of a frame, still encoded where the transfer syntax says so.

        Raises
        ------
        UnsupportedPixelDataError
            When the file has become unreadable or its fragments make no frame.
        """
        try:
            return self.frames[frame] if self.frames else self._read_from_file(frame)
        except UNFIT as error:
            raise _unfit(self.instance, "pixel data of a slice cannot be read, the file is damaged") from error

    def _read_from_file(self, frame: int) -> bytes:
        with self.instance.path.open("rb", buffering=0) as file:
            if self.syntax.is_encapsulated:
                file.seek(self.offset)
                return _split(file.read(), self.pixel_format.num_frames, ())[frame]
            file.seek(self.offset + frame * self.pixel_format.frame_bytes)
            return file.read(self.pixel_format.frame_bytes)


def locate_pixels(instance: Instance, pixel_format: PixelFormat) -> StoredPixels:
    """Find the pixel data and hold its length against what the header promises; nothing large is allocated.

    Raises
    ------
    UnsupportedPixelDataError
        When there is none, when its length does not fit, or when it cannot be found.
    """
    try:
        return _locate(instance, pixel_format)
    except UNFIT as error:
        raise _unfit(instance, "its pixel data cannot be found, the file is damaged") from error


def _locate(instance: Instance, pixel_format: PixelFormat) -> StoredPixels:
    if not instance.has_pixel_data:
        raise _unfit(instance, "a slice has no pixel data, was it cut short?")
    syntax = UID(text_of(instance.header.file_meta, "TransferSyntaxUID"))
    if syntax not in AllTransferSyntaxes:
        what = f"pixels in {syntax.name}" if syntax else "pixels without a TransferSyntaxUID"
        raise _unfit(instance, f"{what} are not read; send them in another transfer syntax")
    if syntax == DeflatedExplicitVRLittleEndian:
        return _inflate(instance, syntax, pixel_format)
    with BoundedFile(instance.path) as file:
        if not syntax.is_encapsulated:
            offset = _offset_at_the_end(file, pixel_format.frame_bytes * pixel_format.num_frames)
            if offset:
                return StoredPixels(instance, syntax, pixel_format, offset)
        return _parse(file, instance, syntax, pixel_format)


def _offset_at_the_end(file: BinaryIO, expected: int) -> int | None:
    """Where the pixels start if they are the file's last element in little endian, as they nearly always are."""
    padded = expected + expected % 2
    offset = file.seek(0, 2) - padded
    if offset < _HEADER_BYTES:
        return None
    file.seek(offset - _HEADER_BYTES)
    header = file.read(_HEADER_BYTES)
    length = struct.pack("<L", padded)
    explicit = header[:4] == _TAG and header[4:8] in _WORD_VRS and header[8:] == length
    implicit = header[4:] == _TAG + length
    return offset if explicit or implicit else None


def _parse(file: BinaryIO, instance: Instance, syntax: UID, pixel_format: PixelFormat) -> StoredPixels:
    file.seek(0)
    header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=["PixelData"])
    is_implicit, is_little_endian = header.original_encoding
    order = "<" if is_little_endian else ">"
    if file.read(4) != (_TAG if is_little_endian else _BIG_ENDIAN_TAG):
        raise _unfit(instance, "expected integer Pixel Data (7FE0,0010), got pixels of another kind")
    if not is_implicit:
        file.seek(4, 1)
    (length,) = struct.unpack(f"{order}L", file.read(4))
    offset = file.tell()
    if syntax.is_encapsulated != (length == _UNDEFINED_LENGTH):
        raise _unfit(instance, f"pixel data that is not encoded as {syntax.name} asks")
    if not syntax.is_encapsulated:
        available = min(length, file.seek(0, 2) - offset)
        _check_length(instance, pixel_format, available)
    elif pixel_format.num_frames > 1:
        tables = tuple(
            value_of(instance.header, word) for word in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
        )
        frames = _split(file.read(), pixel_format.num_frames, tables if all(tables) else ())
        return StoredPixels(instance, syntax, pixel_format, offset, frames)
    return StoredPixels(instance, syntax, pixel_format, offset)


def _inflate(instance: Instance, syntax: UID, pixel_format: PixelFormat) -> StoredPixels:
    # The index has measured what the file unpacks to.
    with BoundedFile(instance.path) as file:
        pixels = pydicom.dcmread(file, force=True).get("PixelData") or b""
    _check_length(instance, pixel_format, len(pixels))
    size = pixel_format.frame_bytes
    frames = tuple(bytes(pixels[k * size : (k + 1) * size]) for k in range(pixel_format.num_frames))
    return StoredPixels(instance, syntax, pixel_format, 0, frames)


def _split(encapsulated: bytes, num_frames: int, extended_offsets: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Fragments to frames (PS3.5 A.4); from memory, because a lying fragment length would make a file read allocate."""
    frames = generate_frames(
        BytesIO(encapsulated),
        number_of_frames=num_frames,
        extended_offsets=extended_offsets or None,  # type: ignore[arg-type]
    )
    found = tuple(frame for frame, _ in zip(frames, range(num_frames), strict=False))
    if len(found) != num_frames:
        raise ValueError(f"expected {num_frames} frames, found {len(found)}")
    return found


def _check_length(instance: Instance, pixel_format: PixelFormat, available: int) -> None:
    expected = pixel_format.frame_bytes * pixel_format.num_frames
    if available not in (expected, expected + expected % 2):
        frames = f" x {pixel_format.num_frames} frames" if pixel_format.num_frames > 1 else ""
        raise _unfit(
            instance,
            f"expected {expected} bytes of pixels for {pixel_format.rows} x {pixel_format.columns}{frames} of "
            f"{pixel_format.bits_allocated} bits, found {available}; the file is cut short or its header is wrong",
        )


def _unfit(instance: Instance, what: str) -> UnsupportedPixelDataError:
    return UnsupportedPixelDataError(f"series {text_of(instance.header, 'SeriesInstanceUID')}: {what}")
