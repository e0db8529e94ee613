import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.domain.source import (
    is_backlog,
    missing_instances,
    remaining_quiet_seconds,
    select_source,
    why_not_read,
    work_identity,
)

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
CT = SeriesFacts("1.1", "CT", ("b", "a"))
MR = SeriesFacts("1.2", "MR", ("c",))
SEG = SeriesFacts("1.3", "SEG", ("d",))
SR = SeriesFacts("1.4", "SR", ("e",))


def study(*, stable: bool = True, silent_seconds: float = 0.0) -> StudyFacts:
    return StudyFacts("id", "1.2.3", stable, NOW - timedelta(seconds=silent_seconds))


def test_ct_and_mr_are_source_in_sorted_order() -> None:
    source = select_source([MR, CT, SEG, SR])
    assert source is not None
    assert source.instance_ids == ("a", "b", "c")
    assert source.digest == hashlib.sha256(b"a\nb\nc").hexdigest()


def test_results_do_not_change_the_digest() -> None:
    assert select_source([CT]) == select_source([CT, SEG, SR])


def test_a_late_slice_changes_the_digest() -> None:
    late = SeriesFacts("1.1", "CT", ("a", "b", "z"))
    assert select_source([CT]) != select_source([late])


def test_corrected_demographics_change_the_digest() -> None:
    digests = {one.digest for name in ("", "a", "b") if (one := select_source([CT], demographics=name)) is not None}
    assert len(digests) == 3
    corrected = select_source([CT], demographics="d")
    assert corrected is not None
    assert corrected.digest == hashlib.sha256(b"a\nb\nd").hexdigest()


def test_images_that_say_they_are_ours_are_no_source_though_the_ledger_was_lost() -> None:
    ours = SeriesFacts("1.9", "MR", ("z",), tags={"Manufacturer": "curia-pacs"})
    assert select_source([CT, ours]) == select_source([CT])


@pytest.mark.parametrize(
    ("expected", "missing"), [((None, None), 0), ((2, 1), 0), ((5, 1), 3), ((5, 4), 6), ((1, 4), 3), ((0, None), 0)]
)
def test_missing_images_are_counted_series_by_series(expected: tuple, missing: int) -> None:
    told = [replace(one, expected=number) for one, number in zip((CT, MR), expected, strict=True)]
    source = select_source([*told, replace(SEG, expected=9)])
    assert source is not None
    assert missing_instances(source) == missing


def test_series_that_we_wrote_are_no_source_whatever_they_call_themselves() -> None:
    assert select_source([CT, MR], own_series_uids={"1.2"}) == select_source([CT])


@pytest.mark.parametrize(
    ("modality", "is_own", "reason"),
    [
        ("CT", False, None),
        ("MR", False, None),
        ("MR", True, "written by curia-pacs"),
        ("SEG", True, "written by curia-pacs"),
        ("SEG", False, "a segmentation, not an image series"),
        ("SR", False, "a report, not an image series"),
        ("DX", False, "only CT and MR images are read"),
        ("", False, "only CT and MR images are read"),
    ],
)
def test_what_is_not_handed_over_has_its_reason(modality: str, is_own: bool, reason: str | None) -> None:
    assert why_not_read(modality, is_own=is_own) == reason


@pytest.mark.parametrize("series", [[], [SEG, SR], [SeriesFacts("1.5", "US", ("f",))], [SeriesFacts("1.6", "CT", ())]])
def test_a_study_without_ct_or_mr_images_has_no_source(series: list[SeriesFacts]) -> None:
    assert select_source(series) is None


@given(st.permutations([CT, MR, SEG, SeriesFacts("1.7", "CT", ("g", "h"))]))
def test_order_does_not_matter(series: list[SeriesFacts]) -> None:
    assert select_source(series) == select_source(reversed(series))


@pytest.mark.parametrize(("silent", "remaining"), [(0, 5.0), (3, 2.0), (5, 0.0), (60, 0.0)])
def test_quiet_time_is_what_is_left_of_it(silent: float, remaining: float) -> None:
    assert remaining_quiet_seconds(study(silent_seconds=silent), now=NOW, quiet_seconds=5.0) == remaining


def test_an_unstable_study_has_no_end_of_quiet() -> None:
    assert remaining_quiet_seconds(study(stable=False, silent_seconds=60), now=NOW, quiet_seconds=5.0) is None


def test_a_clock_that_was_set_back_does_not_hold_a_study_for_ever() -> None:
    assert remaining_quiet_seconds(study(silent_seconds=-3600), now=NOW, quiet_seconds=5.0) == 0.0


def test_backlog_begins_after_the_days_that_were_set() -> None:
    day = 86400.0
    assert not is_backlog(study(silent_seconds=7 * day), now=NOW, backlog_days=7)
    assert is_backlog(study(silent_seconds=7 * day + 1), now=NOW, backlog_days=7)


def test_identity_depends_on_each_of_its_parts_and_is_stable() -> None:
    parts = {"study_instance_uid": "1.2", "source_digest": "s", "pipeline_digest": "p"}
    identity = work_identity(**parts)
    assert identity == hashlib.sha256(b"1.2\ns\np").hexdigest()
    assert len({identity, *(work_identity(**parts | {name: "other"}) for name in parts)}) == 4
    followed = {work_identity(**parts, late_priors=priors) for priors in (("a",), ("b",), ("a", "b"), ("b", "a"))}
    assert len(followed | {identity}) == 4
