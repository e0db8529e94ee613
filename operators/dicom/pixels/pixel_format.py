"""What a header says about its pixels, and whether that can be true (PS3.3 C.7.6.3)."""

from dataclasses import dataclass

from numpy import dtype, integer
from pydicom import Dataset

from operators.dicom.study.header_values import text_of, value_of
from operators.dicom.study.read_limits import ReadLimits
from operators.errors import UnsupportedPixelDataError

_BITS_ALLOCATED = (8, 16, 32)
_MAX_FRAMES = 1_000_000


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Size and type of one stored frame."""

    rows: int
    columns: int
    num_frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric_interpretation: str

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.bits_allocated // 8

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.columns

    @property
    def stored_range(self) -> tuple[int, int]:
        """The lowest and the highest value that the stored bits can hold."""
        if self.is_signed:
            return -(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1
        return 0, (1 << self.bits_stored) - 1

    def dtype(self, *, is_little_endian: bool) -> dtype[integer]:
        kind = "i" if self.is_signed else "u"
        return dtype(f"{'<' if is_little_endian else '>'}{kind}{self.bits_allocated // 8}")


def read_pixel_format(header: Dataset, limits: ReadLimits) -> PixelFormat:
    """The format of an instance's pixels.

    Raises
    ------
    UnsupportedPixelDataError
        For anything but one sample of grey a pixel, for bits that do not fit and for a slice beyond the limit.
    """
    pixel_format = PixelFormat(
        rows=_number(header, "Rows"),
        columns=_number(header, "Columns"),
        num_frames=_number(header, "NumberOfFrames", 1),
        bits_allocated=_number(header, "BitsAllocated"),
        bits_stored=_number(header, "BitsStored"),
        high_bit=_number(header, "HighBit"),
        is_signed=_number(header, "PixelRepresentation") == 1,
        photometric_interpretation=text_of(header, "PhotometricInterpretation"),
    )
    complaint = _complaint(header, pixel_format, limits)
    if complaint:
        raise UnsupportedPixelDataError(f"series {text_of(header, 'SeriesInstanceUID')}: {complaint}")
    return pixel_format


def _number(header: Dataset, keyword: str, default: int | None = None) -> int:
    found = value_of(header, keyword)
    found = default if found is None else found
    if not isinstance(found, int):
        raise UnsupportedPixelDataError(
            f"series {text_of(header, 'SeriesInstanceUID')}: expected one whole number in {keyword}, "
            f"got {'none' if found is None else 'something else'}"
        )
    return int(found)


def _complaint(header: Dataset, pixels: PixelFormat, limits: ReadLimits) -> str | None:
    samples = _number(header, "SamplesPerPixel", 1)
    if samples != 1 or pixels.photometric_interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        got = pixels.photometric_interpretation
        return f"expected one sample of MONOCHROME1 or MONOCHROME2 a pixel, got {samples} of {got or 'nothing'}"
    if min(pixels.shape) < 1 or not 1 <= pixels.num_frames <= _MAX_FRAMES:
        return f"expected pixels, got {pixels.rows} rows, {pixels.columns} columns and {pixels.num_frames} frames"
    if pixels.rows * pixels.columns > limits.max_slice_pixels:
        return (
            f"a slice of {pixels.rows} x {pixels.columns} pixels exceeds the limit of {limits.max_slice_pixels} pixels "
            "(max_slice_pixels)"
        )
    if not (
        pixels.bits_allocated in _BITS_ALLOCATED
        and 1 <= pixels.bits_stored <= pixels.high_bit + 1 <= pixels.bits_allocated
    ):
        return (
            f"bits that do not fit: {pixels.bits_allocated} allocated, {pixels.bits_stored} stored, "
            f"high bit {pixels.high_bit}"
        )
    return None
