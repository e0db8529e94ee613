"""What a series' pixel values mean, as its headers tell."""

from pydicom import Dataset

from operators.dicom.study.header_values import value_of
from operators.domain.value_meaning import ValueMeaning

DISPLAY_BITS = 8
"""No scanner measures so coarsely: what is stored in so few bits was windowed before."""


def value_meaning(header: Dataset) -> ValueMeaning:
    """Grey levels where at most 8 bits are stored, else HU for CT and scanner units for all others."""
    bits = value_of(header, "BitsStored")
    if isinstance(bits, int) and bits <= DISPLAY_BITS:
        return "grey levels"
    return "HU" if value_of(header, "Modality") == "CT" else "scanner units"
