"""Stored bytes of one frame to whole numbers. All that decoders raise becomes one of our errors here.

The decoder of each transfer syntax is the fastest one that agreed with a second one on every public sample.
"""

from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import Tag
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

from operators.dicom.pixels.codestream import is_whole, read_codestream
from operators.dicom.pixels.pixel_format import PixelFormat
from operators.dicom.pixels.stored_pixels import UNFIT, StoredPixels
from operators.dicom.study.header_values import text, value
from operators.errors import ResourceError, UnsupportedPixelDataError

Integers = NDArray[np.integer]

_PLUGINS: dict[UID, str] = {
    JPEGBaseline8Bit: "gdcm",
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "gdcm",
    JPEG2000: "gdcm",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
    RLELossless: "pydicom",
}
"""Which of pydicom's decoders reads what. JPEG Extended is not here: pydicom keeps GDCM from its 12 bit kind."""

_JPEG_2000 = frozenset({JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})
_JPEG = frozenset({JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1})
_MAX_PRECISION = {JPEGBaseline8Bit: 8, JPEGExtended12Bit: 12}
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


def decode_frame(stored: StoredPixels, encoded: bytes) -> Integers:
    """(rows, columns) stored values of the frame whose stored bytes are *encoded*.

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
    plugin = _PLUGINS.get(stored.syntax)
    if plugin is None and stored.syntax != JPEGExtended12Bit:
        raise _refusal(stored, f"pixels in {stored.syntax.name} are not read; send them in another transfer syntax")
    if stored.syntax != RLELossless:
        _check_codestream(stored, encoded)
    return _decoded_by_gdcm(stored, encoded) if plugin is None else _decoded_by_pydicom(stored, encoded, plugin)


def _check_codestream(stored: StoredPixels, encoded: bytes) -> None:
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


def _fits(stored: StoredPixels, precision: int) -> bool:
    """Decoders choose their container by the precision; GDCM ends the process over one that is not the header's."""
    allocated = stored.pixel_format.bits_allocated
    if not 1 <= precision <= _MAX_PRECISION.get(stored.syntax, 16):
        return False
    return precision <= allocated if stored.syntax in _JPEG_2000 else allocated == (8 if precision <= 8 else 16)


def _decoded_by_pydicom(stored: StoredPixels, encoded: bytes, plugin: str) -> Integers:
    pixel_format = stored.pixel_format
    options: dict[str, Any] = {
        "rows": pixel_format.rows,
        "columns": pixel_format.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        # MONOCHROME1 is decoded alike; what it means is decided where values get their meaning.
        "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": int(pixel_format.is_signed),
        "bits_allocated": pixel_format.bits_allocated,
        # GDCM ends the process over 8 bit JPEG with fewer bits stored; what is unused is taken off below.
        "bits_stored": pixel_format.bits_allocated if stored.syntax in _JPEG else pixel_format.bits_stored,
        "pixel_keyword": "PixelData",
    }
    decoder = get_decoder(stored.syntax)
    # Its own validation would repeat ours and warn of data that happen to be as long as uncompressed ones.
    array, _ = decoder.as_array(encapsulate([encoded]), raw=True, validate=False, decoding_plugin=plugin, **options)
    return array.reshape(pixel_format.shape)


def _decoded_by_gdcm(stored: StoredPixels, encoded: bytes) -> Integers:
    """JPEG Extended, 8 or 12 bit; GDCM's pixels equal libjpeg-turbo's to the bit."""
    pixel_format = stored.pixel_format
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(encoded)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((pixel_format.columns, pixel_format.rows, 1))
    image.SetDataElement(element)
    monochrome = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(monochrome))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(stored.syntax))))
    # Told of 16 bits allocated, GDCM tries its 16 bit decoder first and complains on stderr.
    bits = min(pixel_format.bits_allocated, 12)
    image.SetPixelFormat(gdcm.PixelFormat(1, bits, bits, bits - 1, int(pixel_format.is_signed)))
    # GDCM hands bytes over as text; surrogate escapes keep every one of them.
    pixels = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(pixels, pixel_format.dtype(is_little_endian=True)).reshape(pixel_format.shape)


def _stored_values(stored: StoredPixels, raw: Integers) -> Integers:
    """Only the stored bits, with their sign; what lies above them may be an overlay of former times (PS3.5 8.1.1)."""
    pixel_format = stored.pixel_format
    bits = 8 * raw.dtype.itemsize
    if pixel_format.bits_stored >= bits:
        return raw
    high_bit = max(pixel_format.high_bit, pixel_format.bits_stored - 1)
    lowest, highest = int(raw.min()), int(raw.max())
    if high_bit == pixel_format.bits_stored - 1 and _within(pixel_format, lowest, highest):
        return raw
    if high_bit == pixel_format.bits_stored - 1 and not _may_be_masked(stored, lowest, highest):
        raise _refusal(
            stored,
            f"bits that do not fit: values from {lowest} to {highest}, but {pixel_format.bits_stored} bits stored",
        )
    return (raw << (bits - 1 - high_bit)) >> (bits - pixel_format.bits_stored)


def _within(pixel_format: PixelFormat, lowest: int, highest: int) -> bool:
    low, high = pixel_format.stored_range
    return low <= lowest and highest <= high


def _may_be_masked(stored: StoredPixels, lowest: int, highest: int) -> bool:
    """Negative values whose sign was not carried into the unused bits, or overlays that the header tells of."""
    header = stored.instance.header
    unextended = stored.pixel_format.is_signed and lowest >= 0 and highest < 1 << stored.pixel_format.bits_stored
    return unextended or any(value(header, Tag(group, 0x0102)) for group in _OVERLAY_GROUPS)


def _series(stored: StoredPixels) -> str:
    return text(stored.instance.header, "SeriesInstanceUID")


def _refusal(stored: StoredPixels, what: str) -> UnsupportedPixelDataError:
    return UnsupportedPixelDataError(f"series {_series(stored)}: {what}")
