"""The stored bits of decoded pixels, with their sign, and what lies in the bits above them (PS3.5 8.1.1)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.tag import Tag

from operators.dicom.pixels.pixel_format import PixelFormat
from operators.dicom.study.header_values import number_of, value_of

Integers = NDArray[np.integer]

_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


class StoredValues(NamedTuple):
    """Pixels of one frame as whole numbers.

    padding : lowest and highest of the negative numbers that use more than the stored bits and so are no measured
        values; None where there are none
    is_masked : signs were not carried into the unused bits
    """

    values: Integers
    padding: tuple[int, int] | None = None
    is_masked: bool = False


def stored_values(raw: Integers, pixel_format: PixelFormat, header: Dataset) -> StoredValues | None:
    """What the stored bits of *raw* mean; None where bits above them are set and nothing tells why."""
    bits = 8 * raw.dtype.itemsize
    if pixel_format.bits_stored >= bits:
        return StoredValues(raw)
    high_bit = max(pixel_format.high_bit, pixel_format.bits_stored - 1)
    low, high = pixel_format.stored_range
    lowest, highest = int(raw.min()), int(raw.max())
    if high_bit == pixel_format.bits_stored - 1:
        if low <= lowest and highest <= high:
            return StoredValues(raw)
        is_unextended = pixel_format.is_signed and lowest >= 0 and highest < 1 << pixel_format.bits_stored
        if not is_unextended and not any(value_of(header, Tag(group, 0x0102)) for group in _OVERLAY_GROUPS):
            return _with_padding(raw, pixel_format, header)
    masked = (raw << (bits - 1 - high_bit)) >> (bits - pixel_format.bits_stored)
    return StoredValues(masked, is_masked=pixel_format.is_signed)


def declared_padding(pixel_format: PixelFormat, header: Dataset) -> tuple[int, int] | None:
    """The range of PixelPaddingValue and PixelPaddingRangeLimit with the sign of the pixels (PS3.3 C.7.5.1.1.2)."""
    first = number_of(header, "PixelPaddingValue")
    if first is None:
        return None
    limit = number_of(header, "PixelPaddingRangeLimit")
    ends = [_with_sign(int(end), pixel_format) for end in (first, first if limit is None else limit)]
    return min(ends), max(ends)


def _with_sign(padding: int, pixel_format: PixelFormat) -> int:
    """Writers that give a signed image an unsigned padding value, or the other way round, mean the same bits.

    Where an unsigned image has fewer bits than are allocated, a value beyond them is a negative one of all bits, as GE
    writes -2000 or 63536 into images of 12 bits.
    """
    low, high = pixel_format.stored_range
    if low <= padding <= high:
        return padding
    whole = 1 << pixel_format.bits_allocated
    folded = padding % whole
    if pixel_format.bits_stored == pixel_format.bits_allocated and not pixel_format.is_signed:
        return folded
    if pixel_format.is_signed and 0 <= padding < 1 << pixel_format.bits_stored:
        return padding - (1 << pixel_format.bits_stored)
    return folded - whole if folded >= whole // 2 else folded


def _with_padding(raw: Integers, pixel_format: PixelFormat, header: Dataset) -> StoredValues | None:
    """One negative number, or the declared ones, beside values that fit the stored bits."""
    signed = raw.view(f"{raw.dtype.byteorder}i{raw.dtype.itemsize}")
    low, high = pixel_format.stored_range
    negative = np.unique(signed[signed < 0])
    rest = signed[signed >= 0]
    if raw.dtype.itemsize > 1 and len(negative) and rest.size and int(rest.max()) < 1 << pixel_format.bits_stored:
        # A writer that carries the sign of its padding into the unused bits would carry that of its values as well.
        outside = negative if int(rest.max()) > high or not pixel_format.is_signed else negative[negative < low]
        declared = declared_padding(pixel_format, header)
        ends = int(outside.min()), int(outside.max())
        if len(outside) == 1 or (declared and declared[0] <= ends[0] and ends[1] <= declared[1]):
            return StoredValues(signed, padding=ends)
    return None
