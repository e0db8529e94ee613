import pytest
from pydicom import Dataset

from operators.dicom.study.value_meaning import value_meaning


@pytest.mark.parametrize(
    ("modality", "bits", "meaning"),
    [
        ("CT", 16, "HU"),
        ("CT", 12, "HU"),
        ("CT", 8, "grey levels"),
        ("MR", 12, "scanner units"),
        ("MR", 8, "grey levels"),
        ("CT", None, "HU"),
        (None, 16, "scanner units"),
    ],
)
def test_what_few_bits_hold_was_windowed(modality: str | None, bits: int | None, meaning: str) -> None:
    header = Dataset()
    if modality:
        header.Modality = modality
    if bits:
        header.BitsStored = bits
    assert value_meaning(header) == meaning
