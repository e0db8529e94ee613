"""Our reports, and one by another writer, before the template tables; and proof that the tables notice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from phantoms import OBLIQUE, SeriesSpec, build_source_series
from result_cases import GEOMETRIES, TYPE_2, build_case, negative, without
from tid_checker import check_report, children, code, descendants, name

FOREIGN = Path(__file__).parents[4] / "data" / "sr_tid1500_example" / "sr.dcm"
SPECS = {
    **GEOMETRIES,
    "MR": SeriesSpec(modality="MR", row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1]),
    "one slice": SeriesSpec(shape=(1, 48, 80), centre_lps_mm=(0.0, 0.0, -3.0)),
}


@pytest.fixture(scope="module")
def case():
    return build_case(build_source_series(SeriesSpec()))


@pytest.fixture(scope="module")
def segmentation(case):
    return case.segmentation()


@pytest.fixture(scope="module")
def used_rows(case):
    """Each row of the tables that one of our reports uses: report, item, its parent and the row."""
    series, mass = case.segments, replace(case.segments.segments[2], number=1)
    small = replace(case, segments=replace(series, segments=(mass,)), findings=(case.findings[0], case.findings[3]))
    segmentation = small.segmentation()
    found = {}
    for report in (small.report([segmentation]), small.segment_report([segmentation])):
        for item, parent, row in check_report(report).matches:
            found.setdefault(str(row), (report, item, parent, row))
    assert len(found) > 40
    return tuple(found.values())


@pytest.mark.parametrize("spec", SPECS)
def test_both_reports_follow_the_templates(spec):
    case = build_case(build_source_series(SPECS[spec]))
    segmentation = case.segmentation()
    for report in (case.report([segmentation]), case.segment_report([segmentation])):
        assert check_report(report, [segmentation]).problems == []


def test_so_do_reports_of_little(case):
    poor = without(build_case(build_source_series(SeriesSpec())), *TYPE_2, "SliceThickness", "SpacingBetweenSlices")
    for report in (
        negative(case).report(),
        negative(poor).report(),
        replace(case, findings=case.findings[3:]).report(),
    ):
        check = check_report(report, [])
        assert check.problems == []
        assert len(check.matches) > 20


def test_a_report_by_another_writer_is_read_to_its_end_and_its_three_odd_meanings_are_told():
    check = check_report(pydicom.dcmread(FOREIGN))
    assert len(check.matches) == 255
    assert [problem.split(": ", 1)[1] for problem in check.problems] == [
        "121232 DCM means ['source series for segmentation'], written as 'Source series for image segmentation'",
        "126030 DCM means ['sum of segmented voxel method for volume'], written as 'Sum of segmented voxel volumes'",
        "C2347976 UMLS means ['root mean square'], written as 'RMS'",
    ]


@contextmanager
def changed(item: Dataset, keyword: str, value: object) -> Iterator[None]:
    before = item[keyword].value
    setattr(item, keyword, value)
    yield
    setattr(item, keyword, before)


def notices(report: Dataset, words: str) -> bool:
    return any(words in problem for problem in check_report(report).problems)


def test_every_row_notices_another_relationship_type_and_name(used_rows):
    for report, item, _, row in used_rows:
        if not row.is_repeatable or row.value_type != "IMAGE":
            with changed(item, "RelationshipType", "HAS PROPERTIES"):
                assert notices(report, f"{row}: relationship HAS PROPERTIES, expected {row.relationship}")
            with changed(item, "ValueType", "WAVEFORM"):
                assert notices(report, f"expected {row.value_type}" if row.name != "*" else "is in no row below")
        if row.name != "*":
            with changed(item.ConceptNameCodeSequence[0], "CodeValue", "000000"):
                assert notices(report, "000000 DCM" if "DCM" in row.name else "000000")


def test_every_row_notices_that_it_is_missing_or_stands_twice(used_rows):
    for report, item, parent, row in used_rows:
        rest = [child for child in children(parent) if child is not item]
        if row.is_mandatory and not any(name(child) == name(item) for child in rest):
            with changed(parent, "ContentSequence", rest):
                assert notices(report, f"{row} is missing")
        if not row.is_repeatable and row.name != "*":
            with changed(parent, "ContentSequence", [*children(parent), item]):
                assert notices(report, f"{row} stands 2 times, expected once")


def test_every_coded_value_notices_another_meaning_and_every_value_set_another_code(used_rows):
    for report, item, _, row in used_rows:
        if row.value_type == "CODE" and item.ConceptCodeSequence[0].CodingSchemeDesignator != "RFC5646":
            (concept,) = item.ConceptCodeSequence
            with changed(concept, "CodeMeaning", "Another thing"):
                assert notices(report, f"{code(concept)} means")
            if row.constraint:
                with changed(concept, "CodeValue", "121071"):
                    assert notices(report, f"is not in {row.constraint}")


def test_every_measurement_notices_another_unit(used_rows):
    for report, item, _, row in used_rows:
        if row.value_type == "NUM":
            (unit,) = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence
            with changed(unit, "CodeValue", "kg"):
                assert notices(report, f"{name(item)} in kg, expected")


def _group(report: Dataset, template: str = "1411") -> Dataset:
    return next(
        item
        for item in descendants(report)
        if item.get("ContentTemplateSequence") and item.ContentTemplateSequence[0].TemplateIdentifier == template
    )


def _child(item: Dataset, concept: str) -> Dataset:
    return next(child for child in descendants(item) if name(child) == concept)


def _drop(item: Dataset, *concepts: str) -> None:
    item.ContentSequence = [child for child in children(item) if name(child) not in concepts]


def _unknown_measurement(report: Dataset) -> None:
    concept = _child(report, "118565006 SCT").ConceptNameCodeSequence[0]
    concept.CodeValue, concept.CodeMeaning = "81827009", "Diameter"


MUTATIONS: dict[str, Callable[[Dataset], object]] = {
    "exactly one of 111030 DCM, 121191 DCM": lambda report: _drop(_group(report), "121191 DCM"),
    "expected one of 121233 DCM, 121232 DCM": lambda report: _drop(_group(report), "121232 DCM"),
    "expected one of 111003 DCM": lambda report: _drop(_group(report), "111003 DCM"),
    "expected one of 111001 DCM": lambda report: _drop(_group(report), "111001 DCM"),
    "expected one of 126010 DCM": lambda report: _drop(report, "126010 DCM", "C0034375 UMLS"),
    "expected one of 121008 DCM, 121012 DCM": lambda report: _drop(report, "121012 DCM"),
    "name 121071 DCM is not in CID 7021": lambda report: setattr(
        report.ConceptNameCodeSequence[0], "CodeValue", "121071"
    ),
    "template 300, expected 1500": lambda report: setattr(
        report.ContentTemplateSequence[0], "TemplateIdentifier", "300"
    ),
    "template 1, expected 1600": lambda report: setattr(
        _child(report, "111028 DCM").ContentTemplateSequence[0], "TemplateIdentifier", "1"
    ),
    "no value": lambda report: setattr(_child(report, "112039 DCM"), "TextValue", ""),
    "no unit is known for 81827009 SCT": _unknown_measurement,
    "is not among the evidence": lambda report: report.CurrentRequestedProcedureEvidenceSequence[
        0
    ].ReferencedSeriesSequence.pop(),
    "has another SOP class among the evidence": lambda report: setattr(
        report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[-1].ReferencedSOPSequence[0],
        "ReferencedSOPClassUID",
        "1.2.3",
    ),
    "no segment has this tracking UID": lambda report: setattr(_child(report, "112040 DCM"), "UID", "2.25.1"),
    "no group of the report has this tracking UID": lambda report: _child(report, "126010 DCM").ContentSequence.pop(),
    "the segment's is 'lung 1'": lambda report: setattr(_child(report, "112039 DCM"), "TextValue", "lung"),
    "number 9 does not exist, there are [1, 2, 3]": lambda report: setattr(
        _child(report, "121191 DCM").ReferencedSOPSequence[0], "ReferencedSegmentNumber", 9
    ),
    "number 2, its group tracks 1": lambda report: setattr(
        _child(report, "121191 DCM").ReferencedSOPSequence[0], "ReferencedSegmentNumber", 2
    ),
    "is not the segment's SEG": lambda report: setattr(
        _child(report, "121191 DCM").ReferencedSOPSequence[0], "ReferencedSOPInstanceUID", "1.2.3"
    ),
}


@pytest.mark.parametrize("words", MUTATIONS)
def test_every_condition_and_every_link_is_noticed(words, case, segmentation):
    report = deepcopy(case.segment_report([segmentation]))
    MUTATIONS[words](report)
    problems = check_report(report, [segmentation]).problems
    assert any(words in problem for problem in problems), problems
