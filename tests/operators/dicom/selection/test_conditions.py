import time

import pytest
from pydantic import TypeAdapter, ValidationError

from operators.dicom.selection.conditions import MAX_MATCHED_LENGTH, Condition

ADAPTER: TypeAdapter[Condition] = TypeAdapter(Condition)
ROW = {
    "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
    "SliceThickness": ("1.25",),
    "SeriesDescription": ("Thorax nativ",),
    "BodyPartExamined": (),
    "plane": ("axial",),
}


def holds(condition: dict) -> bool:
    parsed = ADAPTER.validate_python(condition)
    return parsed.holds({column: ROW[column] for column in parsed.columns})


HOLDS = [
    {"keyword": "ImageType", "is": "axial"},
    {"keyword": "ImageType", "one_of": ["X", "PRIMARY"]},
    {"keyword": "SeriesDescription", "matches": r"\bthorax\b"},
    {"keyword": "SliceThickness", "min": 1.25, "max": 1.25},
    {"keyword": "SliceThickness", "is": 1.25},
    {"keyword": "SliceThickness", "one_of": [5, 1.25]},
    {"keyword": "SliceThickness", "present": True},
    {"keyword": "BodyPartExamined", "present": False},
    {"property": "plane", "is": "axial"},
    {"not": {"keyword": "BodyPartExamined", "is": "CHEST"}},
    {"all": [{"keyword": "ImageType", "is": "ORIGINAL"}, {"not": {"keyword": "ImageType", "is": "DERIVED"}}]},
    {"any": [{"keyword": "ImageType", "is": "DERIVED"}, {"keyword": "SliceThickness", "max": 3}]},
]
DOES_NOT_HOLD = [
    {"keyword": "ImageType", "is": "AXI"},
    {"keyword": "SeriesDescription", "matches": "^nativ"},
    {"keyword": "SliceThickness", "min": 1.26},
    {"keyword": "SeriesDescription", "min": 0},
    {"keyword": "BodyPartExamined", "present": True},
    {"keyword": "BodyPartExamined", "matches": ".*"},
    {"keyword": "SliceThickness", "present": False},
    {"keyword": "ImageType", "is": "AXIAL", "matches": "ORIG"},
    {"not": {"any": [{"keyword": "ImageType", "is": "AXIAL"}]}},
]


@pytest.mark.parametrize("condition", HOLDS, ids=str)
def test_holds(condition: dict):
    assert holds(condition)


@pytest.mark.parametrize("condition", DOES_NOT_HOLD, ids=str)
def test_does_not_hold(condition: dict):
    assert not holds(condition)


WRONG = {
    "an unknown keyword": ({"keyword": "ImageTyp", "is": "X"}, "ImageTyp is no DICOM keyword, did you mean ImageType"),
    "an unknown property": ({"property": "planes", "is": "X"}, "'num_slices', 'extent_mm'"),
    "an unknown key": ({"keyword": "ImageType", "equals": "X"}, "Extra inputs are not permitted"),
    "a pattern that is none": ({"keyword": "ImageType", "matches": "("}, "is no regular expression"),
    "an impossible range": ({"keyword": "Rows", "min": 5, "max": 2}, "min 5 is above max 2"),
    "a range that is no number": ({"keyword": "Rows", "min": float("nan")}, "finite number"),
    "bytes": ({"keyword": "PixelData", "present": True}, "PixelData holds bytes, which no rule can test"),
    "the text of a sequence": (
        {"keyword": "ContrastBolusAgentSequence", "matches": "x"},
        "ContrastBolusAgentSequence is a sequence; present is all that can be asked",
    ),
    "an empty set": ({"keyword": "Rows", "one_of": []}, "at least 1 item"),
    "nothing asked": ({"keyword": "Rows"}, "needs one of: is, one_of, matches, min, max, present"),
    "absent and tested": ({"keyword": "Rows", "present": False, "min": 1}, "leaves no value"),
    "two kinds": ({"keyword": "Rows", "property": "plane", "is": "x"}, "exactly one of: keyword, property"),
    "no kind": ({"is": "x"}, "exactly one of: keyword, property"),
    "a long pattern": ({"keyword": "Rows", "matches": "a" * 201}, "at most 200 characters"),
    "a number where a table belongs": (5, "exactly one of: keyword, property"),
}


@pytest.mark.parametrize(("condition", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_condition_is_refused(condition, message):
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python(condition)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", r"(\w*)*x", "([a-z]+){2,}x", "(?:a+b?)+$"])
def test_patterns_that_could_match_forever_are_refused(pattern: str):
    with pytest.raises(ValidationError, match="it could match forever"):
        ADAPTER.validate_python({"keyword": "SeriesDescription", "matches": pattern})


@pytest.mark.parametrize("pattern", [r"^(MIP|MPR)$", r"\b(a|b)\b", r"a+b*c?", r"(t1|t2).*", r"(abc)+"])
def test_ordinary_patterns_are_taken(pattern: str):
    ADAPTER.validate_python({"keyword": "SeriesDescription", "matches": pattern})


def test_long_values_are_cut_so_that_slow_patterns_end():
    slow = ADAPTER.validate_python({"keyword": "SeriesDescription", "matches": ".*.*.*.*x$"})
    start = time.perf_counter()
    assert not slow.holds({"SeriesDescription": ("a" * 1_000_000,)})
    assert time.perf_counter() - start < 2
    assert MAX_MATCHED_LENGTH == 64


def test_conditions_are_frozen():
    condition = ADAPTER.validate_python({"keyword": "Rows", "min": 1})
    with pytest.raises(ValidationError, match="frozen"):
        condition.keyword = "Columns"
