"""The report of a patient on three dates: each date's sizes stand in groups of that date, on that date's images."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset

from follow_up_cases import BEFORE, FIRST, GROWING, NOW, followed
from operators.dicom.results.registration.carried_segments import HEAD
from operators.dicom.results.report.findings_report import build_report
from operators.dicom.results.report.segment_report import build_segment_report
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.segmentation.object import build_segmentation
from operators.domain.finding import Algorithm
from operators.domain.reading import StudyReading
from result_cases import IDENTITY, PROVENANCE, RUN, dciodvfy, save
from tid_checker import check_report, children, descendants, name

CARRYING = RunContext(IDENTITY, PROVENANCE, {**RUN.heads, HEAD: Algorithm(HEAD, "1", "9" * 64)}, RUN.now)
TIME_POINT = "C2348792 UMLS"


@pytest.fixture(scope="module")
def reading() -> StudyReading:
    return followed(NOW, BEFORE, FIRST)


def own(reading: StudyReading) -> Dataset:
    return build_segmentation(reading.sources[0], reading.slice_segments[0], run=RUN)


def report_of(reading: StudyReading) -> Dataset:
    return build_report(reading, segmentations=[own(reading)], run=RUN, is_complete=True)


@pytest.fixture(scope="module")
def report(reading: StudyReading) -> Dataset:
    return report_of(reading)


def groups_of(report: Dataset) -> list[Dataset]:
    return [item for item in descendants(report) if name(item) == "125007 DCM"]


def numbers(group: Dataset) -> dict[str, float]:
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: float(item.MeasuredValueSequence[0].NumericValue)
        for item in children(group)
        if item.ValueType == "NUM"
    }


def text(group: Dataset, concept: str) -> str | None:
    return next((item.TextValue for item in children(group) if name(item) == concept), None)


def test_it_follows_the_templates_and_the_standard(reading: StudyReading, report: Dataset, tmp_path: Path) -> None:
    carried = [
        build_segmentation(one.fixed.source, one.slice_carried, run=CARRYING, carried_from=one.moving.source.headers)
        for one in reading.registrations
    ]
    assert check_report(report, [*carried, own(reading)]).problems == []
    assert dciodvfy(save(report, tmp_path))[0] == []
    assert len({dataset.SeriesInstanceUID for dataset in carried}) == 2
    for dataset in carried:
        assert dciodvfy(save(dataset, tmp_path))[0] == []
    second = build_segment_report(reading, segmentations=[own(reading)], run=RUN, is_complete=True)
    assert check_report(second, [own(reading)]).problems == []


def test_each_earlier_date_has_a_group_on_its_own_image(reading: StudyReading, report: Dataset) -> None:
    (follow_up,) = reading.follow_ups
    course = next(course for course in follow_up.courses if course.name == GROWING)
    dated = [
        group
        for group in groups_of(report)
        if text(group, TIME_POINT) and any(item.get("UID") == course.tracking_uid for item in children(group))
    ]
    assert [text(group, TIME_POINT) for group in dated] == ["200 days before", "80 days before"]
    for group, sizes, one in zip(dated, course.sizes[:2], reversed(reading.registrations), strict=True):
        assert numbers(group)["Volume"] == pytest.approx(sizes.volume_ml)
        assert numbers(group)["Long axis"] == pytest.approx(sizes.long_axis_mm)
        (region,) = [item for item in children(group) if item.ValueType == "SCOORD"]
        image = region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        index = one.moving.source.sop_instance_uids.index(image)
        segment = next(segment for segment in one.tracked if segment.tracking_uid == course.tracking_uid)
        corners = np.reshape(region.GraphicData, (-1, 2))
        rows, columns = np.nonzero(segment.mask[index])
        assert corners.min(axis=0).tolist() == [columns.min(), rows.min()]
        assert corners.max(axis=0).tolist() == [columns.max() + 1, rows.max() + 1]


def test_the_change_stands_beside_todays_sizes_under_names_of_its_own(reading: StudyReading, report: Dataset) -> None:
    (follow_up,) = reading.follow_ups
    course = next(course for course in follow_up.courses if course.name == GROWING)
    (today,) = [
        numbers(group)
        for group in groups_of(report)
        if any(item.get("UID") == course.tracking_uid for item in children(group))
        and text(group, TIME_POINT) is None
        and "Volume" in numbers(group)
    ]
    assert today["Change of volume since the prior"] == pytest.approx(course.change_ml)
    assert today["Change of volume since the prior in percent"] == pytest.approx(course.change_percent)
    assert today["Doubling time of the volume"] == pytest.approx(course.doubling_time_days)
    sums = [numbers(group) for group in groups_of(report) if "Sum of diameters of tracked lesions" in numbers(group)]
    assert [one["Sum of diameters of tracked lesions"] for one in sums] == pytest.approx(
        follow_up.sum_of_diameters.sums_mm[::-1]
    )


def test_the_registrations_are_told_with_figures_and_verdict_failed_ones_too() -> None:
    report = report_of(followed(NOW, BEFORE, verdict="failed"))
    assert check_report(report).problems == []
    (group,) = [group for group in groups_of(report) if "Agreement of edges after registration" in numbers(group)]
    assert numbers(group)["Agreement of edges after registration"] == pytest.approx(0.9)
    (verdict,) = [item for item in children(group) if name(item) == "reg-verdict 99CURIA"]
    assert verdict.ConceptCodeSequence[0].CodeValue == "reg-failed"
    assert not any(text(group, TIME_POINT) for group in groups_of(report))


def test_readers_of_the_first_groups_meet_todays_images_only(
    reading: StudyReading, report: Dataset, tmp_path: Path
) -> None:
    today = set(reading.sources[0].sop_instance_uids)
    images = [
        {
            reference.ReferencedSOPInstanceUID
            for item in descendants(group)
            for reference in item.get("ReferencedSOPSequence", ())
        }
        for group in groups_of(report)
    ]
    of_today = [bool(found <= today) for found in images]
    assert of_today[: len(reading.findings) + len(reading.slice_segments[0].segments)] == [True] * 4
    read = hd.sr.srread(save(report, tmp_path))
    assert len(read.content.get_volumetric_roi_measurement_groups()) > len(reading.slice_segments[0].segments)
