"""Stored values of one slice to HU or scanner units (PS3.3 C.11.1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.pixels.pixel_format import PixelFormat
from operators.dicom.pixels.stored_bits import StoredValues, declared_padding
from operators.dicom.study.header_values import number_of, text_of, value_of
from operators.domain.volume import AIR_HU
from operators.errors import UnsupportedPixelDataError

LOWEST_HU = -1024.0
"""The lowest CT number of 12 bits with the usual intercept. Air is -1000 by definition; what lies below is the circle
around the field of view (-2000 and -3024 of GE, -8192 of Siemens) or noise of air."""

HIGHEST_HU = 32767.0
"""No CT number is larger: the extended scale for metal ends at 30,710. Larger ones come of a wrong rescale."""

_MAX_VALUE = 1e30


@dataclass(frozen=True, slots=True)
class ValueMarks:
    """What was found among the values of one slice that is no measured value.

    padding : pixels were NaN after `ValueTransform.apply`
    outside_bits : padding in bits that no value uses, as a signed number
    is_masked : the sign of negative values was not carried into the unused bits
    no_sign : most of the values that would be negative are none of the modality's
    no_tissue : values that no tissue has, lifted to air
    beyond : the highest value, where it is none of the modality's
    """

    padding: bool = False
    outside_bits: int | None = None
    is_masked: bool = False
    no_sign: bool = False
    no_tissue: bool = False
    beyond: float | None = None


@dataclass(frozen=True, slots=True)
class ValueTransform:
    """What stored values of one slice mean.

    inverted_about : the value is this less the stored one; None for values that rise with brightness
    padding : lowest and highest stored value that marks pixels outside the image
    lowest, highest : what values of the modality can be; None where every stored value lies on the right side of it.
        Lower values become air
    """

    slope: float
    intercept: float
    inverted_about: int | None
    padding: tuple[int, int] | None
    lowest: float | None = None
    highest: float | None = None

    def apply(self, stored: StoredValues, target: NDArray[np.float32]) -> ValueMarks:
        """Write values into *target*, NaN where there is padding, and tell what was found among them."""
        slope, intercept = self.slope, self.intercept
        if self.inverted_about is not None:
            slope, intercept = -slope, intercept + slope * self.inverted_about
        if slope == 1:
            np.add(stored.values, np.float32(intercept), out=target, casting="unsafe")
        else:
            np.multiply(stored.values, np.float32(slope), out=target, casting="unsafe")
            target += np.float32(intercept)
        outside = stored.padding or (self.highest and _padding_above(stored.values, target, self.highest)) or None
        has_padding = [_mark(stored.values, ends, target) for ends in (self.padding, outside) if ends]
        return ValueMarks(
            padding=any(has_padding),
            outside_bits=_signed(outside[0], stored.values) if outside else None,
            is_masked=stored.is_masked,
            no_sign=stored.is_masked
            and self.lowest is not None
            and _mostly_below(target[stored.values < 0], self.lowest),
            no_tissue=self.lowest is not None and _lift(target, self.lowest),
            beyond=_highest_above(target, self.highest) if self.highest else None,
        )


def _padding_above(stored: NDArray[np.integer], target: NDArray[np.float32], highest: float) -> tuple[int, int] | None:
    """The one stored value that is too high and would be negative with a sign: -2000 in a header that has none."""
    above = np.unique(stored[target > highest])
    sign = 1 << (8 * stored.dtype.itemsize - 1)
    return (int(above[0]), int(above[0])) if len(above) == 1 and above[0] >= sign else None


def _mostly_below(values: NDArray[np.float32], lowest: float) -> bool:
    """Whether more than half of several different values lie below; one value alone is padding."""
    distinct = np.unique(values)
    return len(distinct) > 1 and bool((distinct < lowest).mean() > 0.5)


def _signed(padding: int, stored: NDArray[np.integer]) -> int:
    bits = 8 * stored.dtype.itemsize
    return padding - (1 << bits) if padding >= 1 << (bits - 1) else padding


def _highest_above(target: NDArray[np.float32], highest: float) -> float | None:
    found = float(np.fmax.reduce(target, axis=None))
    return found if found > highest else None


def _mark(stored: NDArray[np.integer], padding: tuple[int, int], target: NDArray[np.float32]) -> bool:
    low, high = padding
    outside = stored == low if low == high else (stored >= low) & (stored <= high)
    target[outside] = np.nan
    return bool(outside.any())


def _lift(target: NDArray[np.float32], lowest: float) -> bool:
    below = target < np.float32(lowest)
    if not below.any():
        return False
    target[below] = AIR_HU
    return True


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
    if modality == "CT":
        padding = declared_padding(pixel_format, header)
        # Most series cannot hold what is no CT number, so that their values need not be looked at.
        ends = sorted((low * slope + intercept, high * slope + intercept))
        lowest, highest = LOWEST_HU if ends[0] < LOWEST_HU else None, HIGHEST_HU if ends[1] > HIGHEST_HU else None
        return ValueTransform(slope, intercept, None, padding, lowest, highest)
    turned = pixel_format.photometric_interpretation == "MONOCHROME1"
    about = low + high if turned else None
    return ValueTransform(slope, intercept, about, declared_padding(pixel_format, header))


def fill_padding(volume: NDArray[np.float32], slices: Iterable[int], *, modality: str) -> None:
    """Replace NaN in *slices*: by air in CT, by the lowest value in MR, where zero need not be the background."""
    slices = tuple(slices)
    if not slices:
        return
    lowest = AIR_HU if modality == "CT" else _lowest(volume)
    for k in slices:
        volume[k][np.isnan(volume[k])] = lowest


def check_marks(marks: Sequence[ValueMarks], name: str) -> None:
    """Refuse a series of which not every value can be told.

    Raises
    ------
    UnsupportedPixelDataError
        When nothing tells whether the highest stored bit is a sign, and for CT values that are no CT numbers.
    """
    beyond = [one.beyond for one in marks if one.beyond is not None]
    if beyond:
        raise UnsupportedPixelDataError(
            f"{name}: expected CT values up to {HIGHEST_HU:g} HU, got {max(beyond):g}; check RescaleSlope and "
            "RescaleIntercept"
        )
    if any(one.no_sign for one in marks):
        raise UnsupportedPixelDataError(
            f"{name}: with the sign that PixelRepresentation tells of, most of its negative values lie below "
            f"{LOWEST_HU:g} HU; PixelRepresentation or BitsStored is wrong, check what wrote the series"
        )
    if any(one.outside_bits is not None for one in marks) and any(one.is_masked for one in marks):
        raise UnsupportedPixelDataError(
            f"{name}: some slices hold negative padding beside values of all stored bits, others no negative value; "
            "nothing tells whether their highest bit is a sign; send the series with all bits stored"
        )


def value_remarks(headers: Sequence[Dataset], marks: Sequence[ValueMarks], *, modality: str) -> tuple[str, ...]:
    """What a reader of the results should know about the values, in plain words."""
    name = f"series {text_of(headers[0], 'SeriesInstanceUID')}"
    remarks = []
    if text_of(headers[0], "PhotometricInterpretation") == "MONOCHROME1":
        what = "HU are kept as they are" if modality == "CT" else "values were turned round to MONOCHROME2"
        remarks.append(f"{name}: PhotometricInterpretation is MONOCHROME1; {what}")
    if any(value_of(header, "PixelPaddingValue") is not None for header in headers):
        what = f"{AIR_HU:g} HU" if modality == "CT" else "the lowest value"
        remarks.append(f"{name}: pixels of PixelPaddingValue are set to {what}")
    outside = {one.outside_bits for one in marks if one.outside_bits is not None}
    if outside:
        what = f"{AIR_HU:g} HU" if modality == "CT" else "the lowest value"
        listed = ", ".join(map(str, sorted(outside)))
        remarks.append(f"{name}: pixels of {listed}, in bits that no value uses, are padding and set to {what}")
    lifted = sum(one.no_tissue for one in marks)
    if lifted:
        remarks.append(
            f"{name}: values below {LOWEST_HU:g} HU in {lifted} of {len(marks)} slices are no tissue and set to "
            f"{AIR_HU:g} HU"
        )
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


def _refusal(header: Dataset, what: str) -> UnsupportedPixelDataError:
    return UnsupportedPixelDataError(f"series {text_of(header, 'SeriesInstanceUID')}: {what}")
