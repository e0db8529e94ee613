import pytest
from pydicom import Dataset

from operators.dicom.study.character_sets import bytes_in, character_set_of, is_defined, raw_bytes_of, text_in
from series_cases import raw

WRITTEN = {
    # PS3.5 annexes H to J, and the sets of one byte: what stands in the file, and what it says
    ("ISO_IR 100",): (b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    ("ISO_IR 126",): (b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    ("ISO_IR 166",): (b"\xca\xc1\xaa\xd2\xc2", "สมชาย"),
    ("ISO_IR 13",): (b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("ISO_IR 192",): ("Wang^XiaoDong=王^小东".encode(), "Wang^XiaoDong=王^小东"),
    ("GB18030",): ("Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    ("", "ISO 2022 IR 87"): (b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
    ("", "ISO 2022 IR 149"): (b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"),
}


@pytest.mark.parametrize(("terms", "case"), WRITTEN.items(), ids=lambda value: str(value[0] or value[-1]))
def test_bytes_are_text_by_the_declared_set(terms, case):
    written, text = case
    assert is_defined(terms)
    assert text_in(written, terms) == text


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        (("ISO_IR 100",), "Jérôme"),
        (("ISO_IR 126",), "Διονυσιος"),
        (("ISO_IR 13",), "ﾔﾏﾀﾞ"),
        (("ISO_IR 192",), "王^小东 Müller"),
        (("GB18030",), "王^小东"),
        (("", "ISO 2022 IR 87"), "山田"),
    ],
)
def test_what_is_written_is_read_again(terms, text):
    written = bytes_in(text, terms)
    assert written
    assert text_in(written, terms) == text


@pytest.mark.parametrize(
    ("written", "terms"),
    [
        (b"M\xfcller", ()),
        (b"M\xfcller", ("ISO_IR 6",)),
        (b"M\xfcller", ("ISO_IR 192",)),
        (b"M\x81ller", ("ISO_IR 100",)),
        (b"M\xfcller", ("ISO_IR 13",)),
        (b"\x83\x5c", ("ISO_IR 13",)),
        (b"\x1b$B;3ED\x1b(B", ()),
        (b"\x1b$B;3ED\x1b(B", ("ISO_IR 100",)),
        (b"\xff\xff", ("GB18030",)),
    ],
)
def test_bytes_that_the_declared_set_does_not_have_are_no_text(written, terms):
    assert text_in(written, terms) is None


@pytest.mark.parametrize(
    ("text", "terms"), [("Müller", ()), ("Müller", ("ISO_IR 126",)), ("王", ("ISO_IR 100",)), ("Ü", ("ISO_IR 13",))]
)
@pytest.mark.filterwarnings("ignore:Failed to encode")
def test_letters_that_a_set_lacks_are_not_written(text, terms):
    assert bytes_in(text, terms) is None


@pytest.mark.parametrize(
    "terms",
    [("UTF-8",), ("none",), ("ISO-IR 192",), ("ISO_IR 100", "ISO_IR 192"), ("", "GB18030")],
    ids=str,
)
def test_misspelt_and_impossible_sets_are_not_defined(terms):
    assert not is_defined(terms)


@pytest.mark.parametrize("terms", [(), ("ISO_IR 6",), ("ISO_IR 100",), ("", "ISO 2022 IR 87"), ("GBK",)], ids=str)
def test_sets_of_the_standard_are(terms):
    assert is_defined(terms)


def test_the_values_are_read_as_they_stand():
    header = Dataset()
    assert character_set_of(header) == ()
    header.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    assert character_set_of(header) == ("", "ISO 2022 IR 87")
    header = Dataset()
    header.file_meta = Dataset()
    raw(header, "SpecificCharacterSet", b"UTF-8 ", "CS")
    assert character_set_of(header) == ("UTF-8",)


def test_bytes_are_those_of_the_file_or_those_that_will_be_written():
    header = Dataset()
    header.file_meta = Dataset()
    raw(header, "PatientID", b"M\xfcller ", "LO")
    assert raw_bytes_of(header, "PatientID") == b"M\xfcller"
    header.SpecificCharacterSet = "ISO_IR 100"
    header.PatientID = "Müller"
    assert raw_bytes_of(header, "PatientID") == b"M\xfcller"
    assert raw_bytes_of(header, "AccessionNumber") == b""
