"""Stored values of one slice to HU or scanner units (PS3.3 C.11.1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.pixels.pixel_format import PixelFormat
from operators.dicom.study.header_values import number_of, text_of, value_of
from operators.domain.volume import AIR_HU
from operators.errors import UnsupportedPixelDataError

_MAX_VALUE = 1e30


@dataclass(frozen=True, slots=True)
class ValueTransform:
    """What stored values of one slice mean.

    inverted_about : the value is this less the stored one; None for values that rise with brightness
    padding : lowest and highest stored value that marks pixels outside the image
    """

    slope: float
    intercept: float
    inverted_about: int | None
    padding: tuple[int, int] | None

    def apply(self, stored: NDArray[np.integer], target: NDArray[np.float32]) -> bool:
        """Write values into *target*, NaN where there is padding; whether there was any."""
        slope, intercept = self.slope, self.intercept
        if self.inverted_about is not None:
            slope, intercept = -slope, intercept + slope * self.inverted_about
        if slope == 1:
            np.add(stored, np.float32(intercept), out=target, casting="unsafe")
        else:
            np.multiply(stored, np.float32(slope), out=target, casting="unsafe")
            target += np.float32(intercept)
        return self._mark_padding(stored, target)

    def _mark_padding(self, stored: NDArray[np.integer], target: NDArray[np.float32]) -> bool:
        if self.padding is None:
            return False
        low, high = self.padding
        outside = stored == low if low == high else (stored >= low) & (stored <= high)
        target[outside] = np.nan
        return bool(outside.any())


def value_transform(header: Dataset, pixel_format: PixelFormat, *, modality: str) -> ValueTransform:
    """The transform of one slice; slices may differ.

    MONOCHROME1 says how to display a value, not what it means: the modality transform comes before it (PS3.3 C.11),
    so HU stay as they are. MR values have no unit of their own: bright and dark on the screen is all their sense, so
    they are turned round to that of MONOCHROME2, which models learn.

    Raises
    ------
    UnsupportedPixelDataError
        For a slope that makes no values and for a look-up table in its place.
    """
    slope, intercept = _rescale(header)
    low, high = pixel_format.stored_range
    peak = max(abs(low), abs(high)) * abs(slope) + abs(intercept)
    if not slope or peak > _MAX_VALUE:
        raise _refusal(header, f"expected a usable RescaleSlope and RescaleIntercept, got {slope:g} and {intercept:g}")
    if value_of(header, "ModalityLUTSequence"):
        raise _refusal(header, "expected RescaleSlope and RescaleIntercept, got a Modality LUT, which is not applied")
    turned = modality != "CT" and pixel_format.photometric_interpretation == "MONOCHROME1"
    return ValueTransform(slope, intercept, low + high if turned else None, _padding(header, pixel_format))


def fill_padding(volume: NDArray[np.float32], slices: Iterable[int], *, modality: str) -> None:
    """Replace NaN in *slices*: by air in CT, by the lowest value in MR, where zero need not be the background."""
    slices = tuple(slices)
    if not slices:
        return
    lowest = AIR_HU if modality == "CT" else _lowest(volume)
    for k in slices:
        volume[k][np.isnan(volume[k])] = lowest


def value_remarks(headers: Sequence[Dataset], *, modality: str) -> tuple[str, ...]:
    """What a reader of the results should know about the values, in plain words."""
    name = f"series {text_of(headers[0], 'SeriesInstanceUID')}"
    remarks = []
    if text_of(headers[0], "PhotometricInterpretation") == "MONOCHROME1":
        what = "HU are kept as they are" if modality == "CT" else "values were turned round to MONOCHROME2"
        remarks.append(f"{name}: PhotometricInterpretation is MONOCHROME1; {what}")
    if any(value_of(header, "PixelPaddingValue") is not None for header in headers):
        what = f"{AIR_HU:g} HU" if modality == "CT" else "the lowest value"
        remarks.append(f"{name}: pixels of PixelPaddingValue are set to {what}")
    if modality == "CT" and any(value_of(header, "RescaleIntercept") is None for header in headers):
        remarks.append(f"{name}: slices without RescaleIntercept; their stored values are taken for HU")
    return tuple(remarks)


def _lowest(volume: NDArray[np.float32]) -> float:
    lowest = float(np.fmin.reduce(volume, axis=None))
    return 0.0 if np.isnan(lowest) else lowest


def _rescale(header: Dataset) -> tuple[float, float]:
    pair = []
    for keyword, absent in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        found = number_of(header, keyword)
        if found is None and value_of(header, keyword) is not None:
            raise _refusal(header, f"expected a number in {keyword}, got something else")
        pair.append(absent if found is None else found)
    return pair[0], pair[1]


def _padding(header: Dataset, pixel_format: PixelFormat) -> tuple[int, int] | None:
    first = number_of(header, "PixelPaddingValue")
    if first is None:
        return None
    limit = number_of(header, "PixelPaddingRangeLimit")
    ends = [_in_range(int(end), pixel_format) for end in (first, first if limit is None else limit)]
    return min(ends), max(ends)


def _in_range(padding: int, pixel_format: PixelFormat) -> int:
    """Writers that give a signed image an unsigned padding value mean the same bits."""
    low, high = pixel_format.stored_range
    return padding if low <= padding <= high else (padding - low) % (high - low + 1) + low


def _refusal(header: Dataset, what: str) -> UnsupportedPixelDataError:
    return UnsupportedPixelDataError(f"series {text_of(header, 'SeriesInstanceUID')}: {what}")
