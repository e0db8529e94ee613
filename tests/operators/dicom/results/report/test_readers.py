"""Reports before a second validator that knows the templates, and read back by other people's programs."""

from dataclasses import replace

import highdicom as hd
import pytest
from pydicom import Dataset

from conformance_matrix import pixelmed
from operators.dicom.results.report.findings_report import build_report
from phantoms import SeriesSpec, build_source_series
from result_cases import PROVENANCE, RUN, build_case, negative, reading_of, save, tid1500reader

ONE_SLICE = SeriesSpec(shape=(1, 48, 80), centre_lps_mm=(0.0, 0.0, -3.0))


@pytest.fixture(scope="module")
def case():
    return build_case(build_source_series(SeriesSpec()))


@pytest.fixture(scope="module")
def segmentation(case):
    return case.segmentation()


def _earlier(case) -> Dataset:
    report = case.report()
    report.SeriesInstanceUID, report.SOPInstanceUID = "2.25.1", "2.25.2"
    return report


def _whole(case, segmentation) -> Dataset:
    """Two series, and all that a report can hold."""
    other = build_case(build_source_series(replace(ONE_SLICE, series="other", modality="MR")))
    return build_report(
        reading_of([case, other]),
        segmentations=[segmentation, other.segmentation()],
        run=RUN,
        is_complete=True,
        previous=[_earlier(case)],
    )


def _broken(case) -> Dataset:
    report = negative(case).report()
    (measurements,) = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010"]
    measurements.ContentSequence[0].ContentSequence[0].RelationshipType = "CONTAINS"
    return report


def test_pixelmed_finds_no_error_and_would_notice_one(tmp_path):
    small = build_case(build_source_series(ONE_SLICE))
    segmentation = small.segmentation()
    reports = {
        "whole": _whole(small, segmentation),
        "segments": small.segment_report([segmentation]),
        "broken": _broken(small),
    }
    for name in reports:
        (tmp_path / name).mkdir()
    judged = pixelmed([save(report, tmp_path / name) for name, report in reports.items()])
    verdicts = dict(zip(reports, judged, strict=True))
    assert verdicts.pop("broken") != []
    assert verdicts == {"whole": [], "segments": []}


def test_dcmqi_reads_every_group_with_its_numbers(case, segmentation, tmp_path):
    read = tid1500reader(save(case.report([segmentation]), tmp_path))
    assert (read["SeriesNumber"], read["CompletionFlag"], read["VerificationFlag"]) == (
        "9101",
        "COMPLETE",
        "UNVERIFIED",
    )
    assert len(read["imageLibrary"]) == len(case.source.headers)
    groups = {group["TrackingIdentifier"]: group for group in read["Measurements"]}
    assert len(groups) == len(read["Measurements"]) == 6
    mass = groups["soft-tissue mass 1"]
    assert mass["TrackingUniqueIdentifier"] == segmentation.SegmentSequence[2].TrackingUID
    assert (mass["FindingSite"]["CodeMeaning"], mass["Laterality"]["CodeMeaning"]) == ("Soft tissue", "Left")
    assert mass["measurementAlgorithmIdentification"]["AlgorithmName"] == PROVENANCE.model_name
    numbers = {
        item["quantity"]["CodeValue"]: (float(item["value"]), item["units"]["CodeValue"])
        for item in mass["measurementItems"]
    }
    expected = [item for item in case.measurements if item.tracking_uid == mass["TrackingUniqueIdentifier"]]
    assert numbers == {item.code.value: (pytest.approx(item.value), item.unit.value) for item in expected}


def test_dcmqi_and_highdicom_follow_references_to_segments(case, segmentation, tmp_path):
    path = save(case.segment_report([segmentation]), tmp_path)
    for number, group in enumerate(tid1500reader(path)["Measurements"], start=1):
        assert group["ReferencedSegment"] == number
        assert group["segmentationSOPInstanceUID"] == segmentation.SOPInstanceUID
        assert group["SourceSeriesForImageSegmentation"] == case.source.series_instance_uid
    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    assert [group.reference_type.value for group in groups] == ["121191"] * 3
    numbers = [group.referenced_segment.referenced_segment_numbers for group in groups]
    assert [int(number[0]) for number in numbers] == [1, 2, 3]


def test_a_segment_report_needs_its_segments(case, segmentation):
    with pytest.raises(ValueError, match="expected segments that stand in a SEG, got 3 in none"):
        case.segment_report([])
    with pytest.raises(ValueError, match="got 0 in none"):
        replace(case, segments=replace(case.segments, segments=())).segment_report([segmentation])


def test_the_segments_of_a_label_map_are_referred_to_by_their_numbers(tmp_path):
    """Its first item is the background, which has no tracking UID."""
    case = build_case(build_source_series(SeriesSpec()))
    label_map = case.segmentation("LABELMAP")
    report = hd.sr.srread(save(case.segment_report([label_map]), tmp_path))
    groups = report.content.get_volumetric_roi_measurement_groups()
    numbers = {item.TrackingUID: item.SegmentNumber for item in label_map.SegmentSequence if "TrackingUID" in item}
    referred = {group.tracking_uid: group.referenced_segment.referenced_segment_numbers for group in groups}
    assert referred == {uid: [number] for uid, number in numbers.items()}
    assert len(referred) == len(case.segments.segments)
