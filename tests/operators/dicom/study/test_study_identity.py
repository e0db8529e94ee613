import pytest
from pydicom.charset import convert_encodings

from operators.dicom.study.study_identity import check_identity, identity_obstacle
from operators.dicom.study.study_index import check_one_study, index_study
from operators.errors import IdentityError
from phantoms import SeriesSpec, build_datasets, save_series
from series_cases import raw


def study_with(folder, character_set=b"", **values):
    """A study on disk with these bytes in its headers, as the index reads it."""
    for dataset in build_datasets(SeriesSpec(shape=(2, 4, 4))):
        raw(dataset, "SpecificCharacterSet", character_set, "CS")
        for keyword, value in values.items():
            raw(dataset, keyword, value, "UI" if keyword.endswith("UID") else "LO")
        dataset["PixelData"].VR = "OW"
        dataset.set_original_encoding(False, True, convert_encodings(character_set.decode().split("\\")))
        save_series([dataset], folder)
    return index_study(folder)


CARRIED = [
    (b"", b"PATIENT 1"),
    (b"UTF-8", b"PATIENT 1"),
    (b"ISO_IR 100", b"M\xfcller"),
    (b"ISO_IR 192", "Müller".encode()),
    (b"ISO_IR 13", b"\xd4\xcf\xc0\xde"),
    (b"GB18030", "王".encode("gb18030")),
    (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B"),
    (b"", b""),
    (b"", b"9" * 64),
]
NOT_CARRIED = [
    (b"", b"M\xfcller", "bytes that its Specific Character Set does not allow"),
    (b"ISO_IR 192", b"M\xfcller", "bytes that its Specific Character Set does not allow"),
    (b"ISO_IR 13", b"M\xfcller", "bytes that its Specific Character Set does not allow"),
    (b"UTF-8", "Müller".encode(), "a Specific Character Set that DICOM does not define"),
    (b"", b"A\\B", "a backslash or a control character"),
    (b"", b"A\x07B", "a backslash or a control character"),
    (b"", b"9" * 65, "longer than 64 letters"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("character_set", "patient_id"), CARRIED)
def test_what_the_declared_set_has_refuses_nothing(character_set, patient_id, tmp_path):
    check_one_study(study_with(tmp_path, character_set, PatientID=patient_id))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID"])
@pytest.mark.parametrize(("character_set", "value", "words"), NOT_CARRIED)
def test_other_identifying_values_refuse_the_study(character_set, value, words, keyword, tmp_path):
    study = study_with(tmp_path, character_set, **{keyword: value})
    with pytest.raises(IdentityError, match=f"{keyword} .*{words}.*nothing was computed") as refused:
        check_one_study(study)
    assert refused.value.exit_code == 4
    assert "ller" not in str(refused.value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("uid", [b"1.2.x", b"1.2.03", b"1.2." + b"9" * 62, b"1.2.\xfc", b"1..2"])
def test_a_study_without_a_valid_uid_is_refused(uid, tmp_path):
    with pytest.raises(IdentityError, match="StudyInstanceUID is no valid UID"):
        check_one_study(study_with(tmp_path, StudyInstanceUID=uid))


@pytest.mark.filterwarnings("ignore")
def test_every_instance_is_looked_at():
    headers = build_datasets(SeriesSpec(shape=(3, 4, 4)))
    check_identity(headers)
    headers[2].PatientID = "x" * 65
    assert identity_obstacle(headers[1]) is None
    with pytest.raises(IdentityError):
        check_identity(headers)
