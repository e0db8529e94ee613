from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement

from operators.dicom.study.plain_header import PREFIX_BYTES, read_plain_header
from phantoms import SeriesSpec, build_datasets, build_enhanced, save_series

DATA = Path(__file__).parents[3] / "data"
PUBLIC = sorted(path for path in DATA.rglob("*") if path.suffix == ".dcm" or path.name.startswith("IM"))
BUNDLED = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


def prefix(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(PREFIX_BYTES)


@pytest.mark.filterwarnings("ignore")
def test_it_makes_the_elements_that_pydicom_makes_or_gives_up():
    num_read = 0
    for path in (*PUBLIC, *BUNDLED):
        header = read_plain_header(prefix(path))
        if header is None:
            continue
        expected = pydicom.dcmread(path, stop_before_pixels=True)
        assert list(header.keys()) == list(expected.keys())
        for tag in header.keys():
            element, other = header.get_item(tag), expected.get_item(tag)
            # pydicom has parsed the character set already
            same = element == other if isinstance(other, RawDataElement) else header[tag] == expected[tag]
            assert same, f"{path.name} {tag}"
        assert header.file_meta == expected.file_meta
        assert header.original_encoding == expected.original_encoding
        assert header.original_character_set == expected.original_character_set
        num_read += 1
    assert num_read > 90


def test_names_keep_their_letters(tmp_path: Path):
    name = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"
    spec = SeriesSpec(shape=(1, 4, 4), patient_name=name, character_set=["", "ISO 2022 IR 87"])
    (path,) = save_series(build_datasets(spec), tmp_path)
    header = read_plain_header(prefix(path))
    assert header is not None
    assert str(header.PatientName) == name


@pytest.mark.parametrize("damage", [slice(0, 200), slice(0, 131), slice(0, 0), slice(4, None)])
def test_anything_else_is_left_to_pydicom(tmp_path: Path, damage: slice):
    (path,) = save_series(build_datasets(SeriesSpec(shape=(1, 4, 4))), tmp_path)
    assert read_plain_header(prefix(path)) is not None
    assert read_plain_header(prefix(path)[damage]) is None


def test_sequences_of_undefined_length_are_left_to_pydicom(tmp_path: Path):
    dataset = build_enhanced(SeriesSpec(shape=(2, 4, 4)))
    dataset["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    (path,) = save_series([dataset], tmp_path)
    assert read_plain_header(prefix(path)) is None
