"""The header values that tell slices of one series apart, and what their volumes are called by them."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from operators.dicom.study.header_values import PrivatePlace, number_of, private_numbers_of, texts_of

_SIEMENS_B_VALUE = PrivatePlace("SIEMENS MR HEADER", 0x0019, 0x0C)
_PHILIPS_B_VALUE = PrivatePlace("Philips Imaging DD 001", 0x2001, 0x03)
_GE_B_VALUE = PrivatePlace("GEMS_PARM_01", 0x0043, 0x39)
_GE_B_VALUE_FLAG = 1e5
"""GE adds multiples of 10^9 to a b-value to say how it was acquired; real ones stay below 10^5."""


def b_value(header: Dataset) -> float | None:
    """s/mm2, from the standard attribute or the vendors' own."""
    standard = number_of(header, "DiffusionBValue")
    if standard is not None:
        return standard
    for place in (_SIEMENS_B_VALUE, _PHILIPS_B_VALUE):
        if found := private_numbers_of(header, place):
            return found[0]
    found = private_numbers_of(header, _GE_B_VALUE)
    return found[0] % _GE_B_VALUE_FLAG if found else None


@dataclass(frozen=True, slots=True)
class Separator:
    """A header value that may tell slices at one position apart.

    value : None where the header does not say
    label : from a value, its 1-based rank and the number of different ones
    is_clock : the value may also change from slice to slice, then its order at each position counts
    """

    value: Callable[[Dataset], Hashable]
    label: Callable[[Hashable, int, int], str]
    is_clock: bool = False


def _one(keyword: str) -> Callable[[Dataset], Hashable]:
    return lambda header: number_of(header, keyword)


def _all(keyword: str) -> Callable[[Dataset], Hashable]:
    return lambda header: texts_of(header, keyword) or None


def _counted(what: str) -> Callable[[Hashable, int, int], str]:
    return lambda value, rank, count: f"{what} {rank} of {count}"


def _measured(form: str) -> Callable[[Hashable, int, int], str]:
    return lambda value, rank, count: form.format(f"{value:g}")


SEPARATORS = (
    Separator(_all("ImageType"), _counted("image type")),
    Separator(_all("ConvolutionKernel"), _counted("kernel")),
    Separator(_one("SliceThickness"), _measured("slice thickness {} mm")),
    Separator(_one("EchoTime"), _measured("echo time {} ms")),
    Separator(_one("EchoNumbers"), _counted("echo")),
    Separator(_one("InversionTime"), _measured("inversion time {} ms")),
    Separator(_one("FlipAngle"), _measured("flip angle {} degrees")),
    Separator(b_value, _measured("b = {} s/mm2")),
    Separator(_all("DiffusionGradientOrientation"), _counted("direction")),
    Separator(_one("TemporalPositionIdentifier"), _counted("time")),
    Separator(_one("NominalCardiacTriggerDelayTime"), _counted("cardiac phase"), is_clock=True),
    Separator(_one("TriggerTime"), _counted("cardiac phase"), is_clock=True),
    Separator(_one("AcquisitionNumber"), _counted("acquisition"), is_clock=True),
    Separator(_all("AcquisitionDateTime"), _counted("time"), is_clock=True),
    Separator(_all("AcquisitionTime"), _counted("time"), is_clock=True),
    Separator(_all("ContentTime"), _counted("time"), is_clock=True),
)
"""In the order in which they are asked; clocks come last, for many sites write them carelessly."""


def volume_label(key: tuple[Hashable, ...], keys: Sequence[tuple[Hashable, ...]], used: Sequence[Separator]) -> str:
    parts = []
    for level, (separator, value) in enumerate(zip(used, key, strict=True)):
        known = sorted({other[level] for other in keys} - {None}, key=sortable)
        if value is not None:
            parts.append(separator.label(value, known.index(value) + 1, len(known)))
    return ", ".join(parts) or ("the rest" if used else "")


def sortable(value: Hashable) -> tuple[bool, float, tuple[str, ...]]:
    """Missing values first, numbers by size, words by the alphabet."""
    if isinstance(value, int | float):
        return True, float(value), ()
    return value is not None, 0.0, value if isinstance(value, tuple) else ()
