import pytest
from pydantic import ValidationError

from operators.dicom.results.result_settings import MAX_SERIES_NAME, OBJECT_KINDS, ResultSettings
from result_cases import PROVENANCE


def test_sr_and_seg_are_the_default():
    assert [kind for kind in OBJECT_KINDS if ResultSettings().writes(kind)] == ["SR", "SEG", "REG", "DREG"]


def test_the_order_and_repetition_of_kinds_say_nothing():
    settings = ResultSettings(objects=("SC", "SEG", "SR", "SEG"))
    assert settings.objects == ("SR", "SEG", "SC")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"objects": ["JPEG"]}, "Input should be 'SR', 'SEG'"),
        ({"segmentation_type": "SURFACE"}, "'BINARY', 'LABELMAP' or 'FRACTIONAL'"),
        ({"objects": ["SR"], "segment_report": True}, "expected SR and SEG"),
        ({"institution_name": "a\\b"}, "pattern"),
        ({"institution_name": "x" * 65}, "64"),
        ({"series_descriptions": {"SR": "x" * 24}}, "23"),
        ({"destination": "PACS"}, "not permitted"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        ResultSettings(**values)


def test_the_longest_series_name_leaves_room_for_the_statement():
    assert PROVENANCE.demonstration
    assert len(PROVENANCE.series_description("x" * MAX_SERIES_NAME)) == 64  # LO


@pytest.mark.parametrize(
    "changed",
    [
        {"objects": ["SR", "SEG", "KO"]},
        {"segmentation_type": "LABELMAP"},
        {"segment_report": True},
        {"html_preview": True},
        {"institution_name": "Hospital"},
        {"series_descriptions": {"SEG": "Masks"}},
    ],
)
def test_every_setting_is_listed_and_so_part_of_the_digest(changed):
    assert ResultSettings(**changed).listed != ResultSettings().listed
    assert {str, bool} >= {type(value) for value in ResultSettings(**changed).listed.values()}


def test_every_field_is_listed():
    assert len(ResultSettings().listed) == len(ResultSettings.model_fields)
