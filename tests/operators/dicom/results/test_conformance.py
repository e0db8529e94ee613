"""Every kind of object from every kind of source, before validators that know the standard better than we do."""

import pydicom
import pytest

from conformance_matrix import CELLS, INVALID_CELLS, KINDS, case_of, judge
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case


@pytest.mark.parametrize(("source", "kind"), CELLS)
def test_nobody_complains_and_the_name_survives(source, kind, tmp_path):
    case = case_of(source)
    assert judge(KINDS[kind](case), kind, tmp_path) == []
    written, header = pydicom.dcmread(tmp_path / f"{kind}.dcm"), case.source.headers[0]
    assert written.PatientName == header.PatientName
    assert written.get("SpecificCharacterSet") == header.get("SpecificCharacterSet")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("source", "kind"), INVALID_CELLS)
def test_nobody_complains_whatever_the_source_holds(source, kind, tmp_path):
    case = case_of(source)
    assert judge(KINDS[kind](case), kind, tmp_path) == []
    written = pydicom.dcmread(tmp_path / f"{kind}.dcm")
    assert written.PatientID == "PHANTOM-1"
    assert written.StudyInstanceUID == case.source.headers[0].StudyInstanceUID


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_private_is_carried_over(kind):
    case = build_case(build_source_series(SeriesSpec()))
    for header in case.source.headers:
        block = header.private_block(0x0019, "CANARY", create=True)
        block.add_new(0x01, "LO", "CANARY")
    assert "CANARY" in str(case.source.headers[0])
    dataset = KINDS[kind](case)
    assert not any(element.tag.is_private for element in dataset.iterall())
    assert "CANARY" not in str(dataset)


def _without_algorithm_type(segmentation):
    del segmentation.SegmentSequence[0].SegmentAlgorithmType


def _without_title(document):
    del document.ConceptNameCodeSequence


def _without_pixels_per_row(image):
    del image.Columns


def _without_document(document):
    del document.EncapsulatedDocument


@pytest.mark.parametrize(
    ("kind", "damage", "named"),
    [
        ("SEG", _without_algorithm_type, "SegmentAlgorithmType"),
        ("SR", _without_title, "ConceptNameCodeSequence"),
        ("KO", _without_title, "ConceptNameCodeSequence"),
        ("SC", _without_pixels_per_row, "Columns"),
        ("PDF", _without_document, "EncapsulatedDocument"),
        ("PM", _without_pixels_per_row, "Columns"),
    ],
)
def test_the_validator_would_notice(kind, damage, named, tmp_path):
    """A gate that cannot close proves nothing."""
    dataset = KINDS[kind](case_of("CT axial"))
    damage(dataset)
    assert any(named in complaint for complaint in judge(dataset, kind, tmp_path))
