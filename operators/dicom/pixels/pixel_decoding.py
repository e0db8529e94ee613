"""Stored bytes of one frame to whole numbers. All that decoders raise becomes one of our errors here.

The decoders are those of imagecodecs, which work outside Python's global lock: libjpeg-turbo, CharLS, OpenJPEG. Two of
its others are not among them: OpenJPH gives a damaged image back as if it were whole, where OpenJPEG complains, and the
one for RLE ends the process over damage.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from imagecodecs import jpeg2k_decode, jpeg8_decode, jpegls_decode
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from operators.dicom.pixels.codestream import END, is_whole, read_codestream
from operators.dicom.pixels.pixel_format import PixelFormat
from operators.dicom.pixels.stored_bits import Integers, StoredValues, stored_values
from operators.dicom.pixels.stored_pixels import UNFIT, StoredPixels
from operators.dicom.study.header_values import text_of
from operators.errors import ResourceError, UnsupportedPixelDataError

_JPEG_2000 = frozenset({JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})
_MAX_PRECISION = {JPEGBaseline8Bit: 8, JPEGExtended12Bit: 12}
_WITNESS = b"\xb5\x2d" * 64
"""Bits that no code of an image is likely to go on with."""


def decode_frame(stored: StoredPixels, encoded: bytes) -> StoredValues:
    """The (rows, columns) stored values of the frame whose stored bytes are *encoded*.

    Raises
    ------
    UnsupportedPixelDataError
        When the bytes are damaged, contradict the header, or are in an encoding that is not read.
    """
    try:
        decoded = _native(stored, encoded) if not stored.syntax.is_encapsulated else _decoded(stored, encoded)
        return _stored_values(stored, decoded)
    except MemoryError as error:
        raise ResourceError(
            f"series {_series(stored)}: no memory to decode a slice; free some and try again"
        ) from error
    except UNFIT as error:
        raise _refusal(
            stored, f"pixels in {stored.syntax.name} cannot be decoded; they are damaged or cut short"
        ) from error


def _native(stored: StoredPixels, encoded: bytes) -> Integers:
    pixel_format = stored.pixel_format
    if not stored.syntax.is_little_endian and pixel_format.bits_allocated == 8:
        # Words of two pixels each, swapped or not depending on the VR (PS3.5 8.1.2): not met, not guessed.
        raise _refusal(stored, f"8 bit pixels in {stored.syntax.name} are not read")
    pixels = np.frombuffer(encoded, pixel_format.dtype(is_little_endian=stored.syntax.is_little_endian))
    return pixels.reshape(pixel_format.shape)


def _decoded(stored: StoredPixels, encoded: bytes) -> Integers:
    pixel_format = stored.pixel_format
    if stored.syntax == RLELossless:
        return _decode_rle(pixel_format, encoded)
    decode = _DECODERS.get(stored.syntax)
    if decode is None:
        raise _refusal(stored, f"pixels in {stored.syntax.name} are not read; send them in another transfer syntax")
    precision = _check_codestream(stored, encoded)
    samples = decode(encoded)
    if samples.shape != pixel_format.shape:
        raise ValueError(f"expected {pixel_format.shape} samples, found {samples.shape}")
    samples = samples.astype(pixel_format.dtype(is_little_endian=True), copy=False)
    if stored.syntax not in _JPEG_2000:
        return samples
    # Its codestreams have a sign of their own, which writers get wrong: the header's is meant (PS3.5 8.2.4).
    unused = 8 * samples.dtype.itemsize - precision
    return (samples << unused) >> unused


def _check_codestream(stored: StoredPixels, encoded: bytes) -> int:
    """Bits of a sample, once all that the codestream says of itself is what the header says."""
    pixel_format = stored.pixel_format
    expected = (*pixel_format.shape, 1)
    found = read_codestream(encoded)
    if found is None or found[:3] != expected:
        size = "x".join(map(str, found[:3])) if found else "something else"
        raise _refusal(
            stored,
            f"expected an image of {'x'.join(map(str, expected))} (rows, columns, samples) in {stored.syntax.name}, "
            f"found {size}",
        )
    if not _fits(stored, found.precision):
        raise _refusal(
            stored,
            f"bits that do not fit: {pixel_format.bits_allocated} allocated, but samples of {found.precision} bits in "
            f"{stored.syntax.name}",
        )
    if not is_whole(encoded):
        raise _refusal(stored, f"pixels in {stored.syntax.name} end before their end marker; they are cut short")
    return found.precision


def _fits(stored: StoredPixels, precision: int) -> bool:
    """Only JPEG 2000 may leave allocated bits unused beyond the next whole byte (PS3.5 8.2)."""
    allocated = stored.pixel_format.bits_allocated
    if not 1 <= precision <= _MAX_PRECISION.get(stored.syntax, 16):
        return False
    return precision <= allocated if stored.syntax in _JPEG_2000 else allocated == (8 if precision <= 8 else 16)


def _decode_rle(pixel_format: PixelFormat, encoded: bytes) -> Integers:
    options: dict[str, Any] = {
        "rows": pixel_format.rows,
        "columns": pixel_format.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        # MONOCHROME1 is decoded alike; what it means is decided where values get their meaning.
        "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": int(pixel_format.is_signed),
        "bits_allocated": pixel_format.bits_allocated,
        "bits_stored": pixel_format.bits_stored,
        "pixel_keyword": "PixelData",
    }
    frames = encapsulate([encoded])
    # Its own validation would repeat ours and warn of data that happen to be as long as uncompressed ones.
    array, _ = get_decoder(RLELossless).as_array(frames, raw=True, validate=False, decoding_plugin="pydicom", **options)
    return array.reshape(pixel_format.shape)


def _decode_jpeg(encoded: bytes) -> Integers:
    """(rows, columns) unsigned samples of a sequential or lossless JPEG.

    Where a scan is cut short libjpeg goes on with zero bits and only warns, which cannot be heard here. Bits put before
    the end marker change such an image and no other.
    """
    scan = encoded[: encoded.rindex(END)].rstrip(b"\xff")  # markers may be filled up with FF (T.81 B.1.1.2)
    samples: Integers = jpeg8_decode(encoded)
    if not np.array_equal(samples, jpeg8_decode(scan + _WITNESS + END)):
        raise ValueError("a scan that is cut short")
    return samples


_DECODERS: dict[UID, Callable[[bytes], Integers]] = {
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), _decode_jpeg),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), jpegls_decode),
    **dict.fromkeys(_JPEG_2000, jpeg2k_decode),
}


def _stored_values(stored: StoredPixels, raw: Integers) -> StoredValues:
    found = stored_values(raw, stored.pixel_format, stored.instance.header)
    if found is None:
        raise _refusal(
            stored,
            f"bits that do not fit: values from {raw.min()} to {raw.max()}, but {stored.pixel_format.bits_stored} bits "
            "stored, and neither an overlay nor one value of padding explains the others",
        )
    return found


def _series(stored: StoredPixels) -> str:
    return text_of(stored.instance.header, "SeriesInstanceUID")


def _refusal(stored: StoredPixels, what: str) -> UnsupportedPixelDataError:
    return UnsupportedPixelDataError(f"series {_series(stored)}: {what}")
