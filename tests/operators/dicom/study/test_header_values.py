import math
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from operators.dicom.study.header_values import UNREADABLE, number_of, numbers_of, text_of, value_of, values_of
from phantoms import SeriesSpec, build_datasets, save_series

DATA = Path(__file__).parents[3] / "data"
PUBLIC = sorted(path for path in DATA.rglob("*") if path.suffix == ".dcm" or path.name.startswith("IM"))
BUNDLED = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


def unread(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, force=True)


def by_pydicom(header: Dataset, tag: BaseTag) -> Any:
    try:
        found = header[tag].value
    except UNREADABLE:
        return None
    return None if found == "" else found


def same(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return type(one) is type(other) and (both_nan or one == other)


def as_numbers(found: Any) -> tuple[float, ...]:
    several = () if found is None else found if isinstance(found, MultiValue | list) else (found,)
    try:
        return tuple(map(float, several))
    except ValueError:
        return ()


@pytest.mark.filterwarnings("ignore")
def test_every_value_of_every_header_is_pydicoms():
    num_compared = 0
    for path in (*PUBLIC, *BUNDLED):
        header, expected = unread(path), unread(path)
        for tag in list(header.keys()):
            # Twice, because the first time fills what is kept for the others.
            assert same(value_of(header, tag), by_pydicom(expected, tag)), f"{path.name} {tag}"
            assert same(value_of(header, tag), by_pydicom(expected, tag)), f"{path.name} {tag}"
            num_compared += 1
    assert num_compared > 9000


@pytest.mark.filterwarnings("ignore")
def test_the_numbers_of_every_header_are_pydicoms():
    num_compared = 0
    for path in (*PUBLIC, *BUNDLED):
        header, expected = unread(path), unread(path)
        for tag in list(header.keys()):
            if expected.get_item(tag).VR in ("DS", "IS", "US"):
                found = as_numbers(by_pydicom(expected, tag))
                assert numbers_of(header, tag) == found, f"{path.name} {tag}"
                num_compared += bool(found)
    assert num_compared > 1500


def test_a_list_of_one_header_is_not_that_of_another(tmp_path: Path):
    first, second = (unread(path) for path in save_series(build_datasets(SeriesSpec(shape=(2, 4, 4))), tmp_path))
    value_of(first, "ImageType").append("CHANGED")
    assert "CHANGED" in value_of(first, "ImageType")
    assert "CHANGED" not in value_of(second, "ImageType")


MALFORMED = {
    "no number": ("RescaleSlope", "DS", b"abc ", ()),
    "one of several": ("PixelSpacing", "DS", b"1\\x ", ()),
    "infinite": ("RescaleSlope", "DS", b"inf ", ()),
    "cut short": ("Rows", "US", b"\x01", ()),
    "spaces": ("RescaleSlope", "DS", b"  ", ()),
    "padded by zero": ("RescaleSlope", "DS", b"1.5\0", (1.5,)),
    "big endian": ("Rows", "US", b"\x01\x00", (256.0,)),
}


@pytest.mark.parametrize(("keyword", "vr", "raw", "expected"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_number_gives_none(keyword: str, vr: str, raw: bytes, expected: tuple[float, ...]):
    tag = BaseTag(pydicom.datadict.tag_for_keyword(keyword))
    header = Dataset({tag: RawDataElement(tag, vr, len(raw), raw, 0, False, expected != (256.0,))})
    assert numbers_of(header, keyword) == expected
    assert number_of(header, keyword) == (expected[0] if expected else None)


def test_absent_and_empty_values_are_none():
    header = Dataset()
    header.Modality = ""
    assert value_of(header, "Modality") is None
    assert value_of(header, "PatientID") is None
    assert value_of(header, "NoSuchKeyword") is None
    assert values_of(header, "ImageType") == ()
    assert text_of(header, "ImageType") == ""
