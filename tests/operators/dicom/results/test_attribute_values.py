import pytest
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag

from operators.dicom.results.attribute_values import checked_value, decimal

UTF_8 = ("ISO_IR 192",)


def checked(keyword: str, raw: bytes, terms=UTF_8):
    return checked_value(raw, tag=Tag(keyword), keyword=keyword, vr=dictionary_VR(keyword), terms=terms)


@pytest.mark.parametrize(
    ("keyword", "raw"),
    [
        ("PatientName", "Buc^Jérôme=山田^太郎=やまだ^たろう".encode()),
        ("PatientName", b"a^b^c^d^e"),
        ("PatientName", b"x" * 64 + b"=" + b"y" * 64),
        ("AccessionNumber", b"A" * 16),
        ("PatientAge", b"063Y"),
        ("PatientSize", b"1.8"),
        ("PatientWeight", b"8.1e+01"),
        ("PatientBirthDate", b"20240229"),
        ("StudyTime", b"101112.123456"),
        ("MedicalAlerts", b"one\\two\\three"),
        ("PatientComments", b"first line\r\nsecond\\line"),
        ("StudyID", b""),
    ],
)
def test_valid_values_are_left_alone(keyword, raw):
    assert checked(keyword, raw).text == raw.decode()
    assert not checked(keyword, raw).complaint


@pytest.mark.parametrize(
    ("keyword", "raw", "mended"),
    [
        ("StudyDate", b"2024.01.05", "20240105"),
        ("StudyTime", b"10:11:12.5", "101112.5"),
        ("PatientWeight", b"81.000000000000000001", "81.0"),
        ("PatientSize", b"1.7333333333333333333", "1.73333333333333"),
    ],
)
def test_another_spelling_of_the_same_is_mended(keyword, raw, mended):
    found = checked(keyword, raw)
    assert found.text == mended
    assert found.complaint


@pytest.mark.parametrize(
    ("keyword", "raw"),
    [
        ("PatientName", b"a^b^c^d^e^f"),
        ("PatientName", b"x" * 65),
        ("PatientName", b"a=b=c=d"),
        ("AccessionNumber", b"A" * 17),
        ("PatientAge", b"63"),
        ("PatientSize", b"1,80"),
        ("PatientSize", b"nan"),
        ("PatientWeight", b"1" * 400),
        ("PatientBirthDate", b"20230229"),
        ("PatientBirthDate", b"05.06.1950"),
        ("StudyTime", b"25"),
        ("PatientSex", b"W"),
        ("StudyDescription", b"one\\two"),
        ("StudyDescription", b"bell\x07"),
        ("PatientComments", b"\xff\xfe"),
        ("StudyInstanceUID", b"1.2.03"),
        ("BodyPartExamined", b"chest"),
    ],
)
def test_what_no_spelling_would_mend_is_refused(keyword, raw):
    found = checked(keyword, raw)
    assert found.text is None
    assert found.complaint
    assert raw.decode("latin-1") not in found.complaint


@pytest.mark.filterwarnings("ignore:Failed to encode")
def test_letters_that_cannot_be_written_again_are_refused():
    """pydicom has no way to write ASCII and katakana into one component, and would put question marks."""
    assert checked("StudyDescription", b"CT \xd4\xcf", ("ISO_IR 13",)).text is None
    assert checked("PatientName", b"\xd4\xcf^\xc0", ("ISO_IR 13",)).text == "ﾔﾏ^ﾀ"


@pytest.mark.parametrize("number", [1 / 3, -1e-17, 123456789.123456789, -0.1234567890123456])
def test_a_decimal_has_at_most_sixteen_letters(number):
    assert len(decimal(number)) <= 16
    assert float(decimal(number)) == pytest.approx(number, rel=1e-9)
