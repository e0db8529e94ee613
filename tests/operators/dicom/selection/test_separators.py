"""Header values that tell slices apart are found wherever a vendor keeps them."""

import pytest
from pydicom import Dataset

from operators.dicom.selection.separators import b_value

VENDORS = {
    "standard": (0x0018, 0x9087, None, "FD", 700.0, 700.0),
    "Siemens": (0x0019, 0x0C, "SIEMENS MR HEADER", "IS", "800", 800.0),
    "Philips": (0x2001, 0x03, "Philips Imaging DD 001", "FL", 600.0, 600.0),
    "GE": (0x0043, 0x39, "GEMS_PARM_01", "IS", ["1000000900", "8", "0", "0"], 900.0),
}


@pytest.mark.parametrize(("group", "element", "creator", "vr", "written", "expected"), VENDORS.values(), ids=VENDORS)
def test_b_values_of_every_vendor(group, element, creator, vr, written, expected):
    dataset = Dataset()
    if creator:
        dataset.private_block(group, creator, create=True).add_new(element, vr, written)
    else:
        dataset.add_new((group, element), vr, written)
    assert b_value(dataset) == expected


def test_no_b_value():
    assert b_value(Dataset()) is None
