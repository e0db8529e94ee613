from dataclasses import replace
from datetime import date, timedelta
from io import BytesIO

import pytest

from companion_cases import encapsulated_pdf, key_objects, parametric_map, secondary_capture
from conformance_matrix import KINDS
from phantoms import SeriesSpec, build_source_series
from result_cases import IDENTITY, NOW, RUN, build_case

DATES = ("InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime")

LATER = replace(RUN, now=NOW + timedelta(days=1, hours=1))


def _bytes(dataset):
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def case():
    return build_case(build_source_series(SeriesSpec()))


def test_equal_runs_give_equal_bytes(case):
    again = build_case(build_source_series(SeriesSpec()))
    first, second = case.segmentation(), again.segmentation()
    assert _bytes(first) == _bytes(second)
    assert _bytes(case.report([first])) == _bytes(again.report([second]))


COMPANIONS = (key_objects, secondary_capture, encapsulated_pdf, parametric_map)


@pytest.mark.parametrize("build", COMPANIONS, ids=lambda build: build.__name__)
def test_equal_runs_give_equal_companions(case, build):
    again = build_case(build_source_series(SeriesSpec()))
    assert _bytes(build(case)) == _bytes(build(again))


@pytest.mark.parametrize("build", COMPANIONS, ids=lambda build: build.__name__)
def test_a_later_run_gives_the_same_companions_with_other_dates(case, build):
    first, second = build(case), build(replace(case, run=LATER))
    assert second.ContentDate == date(2026, 3, 5)
    assert (first.SOPInstanceUID, first.SeriesInstanceUID) == (second.SOPInstanceUID, second.SeriesInstanceUID)
    assert len(_bytes(first)) == len(_bytes(second))
    assert _bytes(first) != _bytes(second)


def test_every_kind_is_a_series_of_its_own_with_a_number_of_its_own(case):
    # The three SR of the matrix are the one report of three studies.
    objects = [build(case) for kind, build in KINDS.items() if kind == kind.split()[0]]
    assert len({dataset.SeriesInstanceUID for dataset in objects}) == len(objects)
    assert len({dataset.SeriesNumber for dataset in objects}) == len(objects)


def test_a_later_run_differs_in_dates_only(case):
    again = replace(case, run=LATER)
    pairs = [(case.segmentation(), again.segmentation())]
    pairs.append((case.report([pairs[0][0]]), again.report([pairs[0][1]])))
    for first, second in pairs:
        assert second.ContentDate == date(2026, 3, 5)
        for keyword in DATES:
            assert first[keyword].value != second[keyword].value
            second[keyword].value = first[keyword].value
        for old, new in zip(first.ContributingEquipmentSequence, second.ContributingEquipmentSequence, strict=True):
            if "ContributionDateTime" in old:
                assert old.ContributionDateTime != new.ContributionDateTime
                new.ContributionDateTime = old.ContributionDateTime
        assert _bytes(first) == _bytes(second)


def test_another_content_is_another_instance_of_the_same_series(case):
    segment = case.segments.segments[0]
    mask = segment.mask.copy()
    mask[0, 0, 0] = True
    changed = replace(segment, mask=mask)
    other = replace(
        case, segments=replace(case.segments, segments=(changed, *case.segments.segments[1:]))
    ).segmentation()
    first = case.segmentation()
    assert other.SeriesInstanceUID == first.SeriesInstanceUID
    assert other.SOPInstanceUID != first.SOPInstanceUID
    assert other.file_meta.MediaStorageSOPInstanceUID == other.SOPInstanceUID


def test_another_model_is_another_series(case):
    other = replace(case, run=replace(RUN, identity=replace(IDENTITY, model_digest="9" * 64))).segmentation()
    assert other.SeriesInstanceUID != case.segmentation().SeriesInstanceUID
