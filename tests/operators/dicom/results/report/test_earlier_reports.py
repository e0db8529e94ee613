"""A new report names the ones it replaces, and nothing else."""

from dataclasses import replace

import pydicom
import pytest

from operators.dicom.results.report.earlier_reports import earlier_reports
from operators.dicom.results.report.findings_report import KIND
from phantoms import SeriesSpec, build_source_series
from result_cases import IDENTITY, RUN, build_case, dciodvfy, negative, save

LATER = replace(RUN, identity=replace(IDENTITY, model_digest="d" * 64))


@pytest.fixture(scope="module")
def case():
    return negative(build_case(build_source_series(SeriesSpec())))


@pytest.fixture
def report(case):
    return case.report()


def _found(*headers, run=LATER):
    return earlier_reports(headers, KIND, run)


def _equipment(report):
    (ours,) = [item for item in report.ContributingEquipmentSequence if "DeviceUID" in item]
    return ours


def test_a_later_run_names_the_report_of_an_earlier_one(case, report, tmp_path):
    segmentation = build_case(case.source).segmentation()
    header = pydicom.dcmread(save(report, tmp_path), stop_before_pixels=True)
    previous = _found(segmentation, header, *case.source.headers)
    assert previous == (header,)
    later = replace(case, run=LATER).report(previous=previous)
    (study,) = later.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == report.StudyInstanceUID
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == report.SeriesInstanceUID
    (reference,) = series.ReferencedSOPSequence
    assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == (
        report.SOPClassUID,
        report.SOPInstanceUID,
    )
    assert later.SOPInstanceUID != report.SOPInstanceUID
    assert dciodvfy(save(later, tmp_path))[0] == []


def test_an_equal_run_finds_only_itself_and_writes_the_same(case, report):
    previous = _found(report, run=RUN)
    assert previous == ()
    again = case.report(previous=previous)
    assert again.SOPInstanceUID == report.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in again


def test_several_stand_in_a_fixed_order_and_copies_once(report):
    other = negative(build_case(build_source_series(SeriesSpec(series="other")))).report()
    assert _found(report, other, report) == _found(other, report)
    assert len(_found(report, other)) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda report: setattr(report, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.33"),
        lambda report: setattr(report.ConceptNameCodeSequence[0], "CodeValue", "126001"),
        lambda report: setattr(report.ContentTemplateSequence[0], "TemplateIdentifier", "2000"),
        lambda report: setattr(_equipment(report), "Manufacturer", "Another"),
        lambda report: delattr(_equipment(report), "DeviceUID"),
        lambda report: delattr(report, "ContributingEquipmentSequence"),
    ],
    ids=["class", "title", "template", "manufacturer", "device", "equipment"],
)
def test_what_is_not_our_report_is_left_alone(report, change):
    change(report)
    assert _found(report) == ()
