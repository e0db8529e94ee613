import pytest
from pydicom import Dataset

from operators.dicom.results.source_headers import copy_body_part, copy_character_set, padded_headers
from phantoms import SeriesSpec, build_datasets
from result_cases import TYPE_2
from series_cases import raw


def test_complete_headers_pass_as_they_are():
    headers = build_datasets(SeriesSpec(shape=(3, 4, 5)))
    padded, changes = padded_headers(headers)
    assert changes == ()
    assert padded[0] == headers[0]
    assert padded[1:] == tuple(headers[1:])


def test_missing_type_2_attributes_are_empty_in_the_copy_and_named():
    headers = build_datasets(SeriesSpec(shape=(2, 4, 5)))
    for keyword in TYPE_2:
        del headers[0][keyword]
    padded, changes = padded_headers(headers)
    assert sorted(change.split()[0] for change in changes) == sorted(TYPE_2)
    assert all(keyword in padded[0] and not padded[0][keyword].value for keyword in TYPE_2)
    assert not any(keyword in headers[0] for keyword in TYPE_2)


def test_malformed_values_are_emptied_and_never_repeated():
    (header,) = build_datasets(SeriesSpec(shape=(1, 4, 5)))
    header.PatientSex = "UNKNOWN"
    header["StudyDate"]._value = "31.01.2024"
    (padded,), changes = padded_headers([header])
    assert (padded.PatientSex, padded.StudyDate) == ("", "")
    assert {change.split()[0] for change in changes} == {"PatientSex", "StudyDate"}
    assert not any("UNKNOWN" in change or "31.01" in change for change in changes)


def test_incomplete_sequences_are_not_inherited_and_complete_ones_are():
    (header,) = build_datasets(SeriesSpec(shape=(1, 4, 5)))
    header.ProcedureCodeSequence = []
    header.ReferencedStudySequence = [Dataset()]
    reference = Dataset()
    reference.ReferencedSOPClassUID = reference.ReferencedSOPInstanceUID = "1.2.3"
    header.ReferencedPatientSequence = [reference]
    (padded,), changes = padded_headers([header])
    assert "ProcedureCodeSequence" not in padded
    assert "ReferencedStudySequence" not in padded
    assert padded.ReferencedPatientSequence[0] == reference
    assert len(changes) == 2


def test_without_a_character_set_none_is_claimed():
    dataset = Dataset()
    copy_character_set(Dataset(), dataset)
    assert "SpecificCharacterSet" not in dataset


def test_what_cannot_be_read_is_left_out_and_named():
    source = build_datasets(SeriesSpec(shape=(3, 4, 4)))
    raw(source[0], "PatientSize", b"1.8 ", "ZZ")
    headers, changes = padded_headers(source)
    assert "PatientSize" not in headers[0]
    assert "PatientSize is unreadable in the source and left out of the results" in changes


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"BodyPartExamined": "CHEST"}, {"BodyPartExamined": "CHEST"}),
        ({"BodyPartExamined": "KNEE", "Laterality": "L"}, {"BodyPartExamined": "KNEE", "Laterality": "L"}),
        ({"BodyPartExamined": "KNEE", "ImageLaterality": "R"}, {"BodyPartExamined": "KNEE", "Laterality": "R"}),
        ({"BodyPartExamined": "KNEE"}, {"BodyPartExamined": "KNEE", "Laterality": ""}),
        ({}, {"Laterality": ""}),
    ],
)
def test_a_side_stands_where_a_body_part_may_have_one(source, expected):
    header, dataset = Dataset(), Dataset()
    for keyword, value in source.items():
        setattr(header, keyword, value)
    copy_body_part(header, dataset)
    assert {element.keyword: element.value for element in dataset} == expected
