"""One bad series does not take the study: the next best is read, and both reasons are told."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from operators.dicom.selection.next_best import BestReadable, read_best
from operators.dicom.selection.rules import SelectionRules, default_rules
from operators.dicom.selection.series_selection import select_series
from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.source_series import SourceSeries
from operators.dicom.volumes.volume_reader import read_volume
from operators.errors import ResourceError, SeriesGeometryError, UnsupportedPixelDataError
from phantoms import SeriesSpec, build_datasets, save_series

BEST = SeriesSpec(shape=(12, 10, 8), series="best")
NEXT = SeriesSpec(shape=(6, 10, 8), series="next")
MR = SeriesSpec(shape=(6, 10, 8), series="mr", modality="MR")

Damage = Callable[[SeriesSpec, Path], None]


def cut_short(spec: SeriesSpec, folder: Path) -> None:
    path = save_series(build_datasets(spec), folder)[2]
    path.write_bytes(path.read_bytes()[:-40])


def beyond_the_range(spec: SeriesSpec, folder: Path) -> None:
    datasets = build_datasets(spec)
    for dataset in datasets:
        dataset.RescaleSlope = 100
    save_series(datasets, folder)


def whole(spec: SeriesSpec, folder: Path) -> None:
    save_series(build_datasets(spec), folder)


def read(folder: Path, rules: SelectionRules | None = None) -> BestReadable[SourceSeries]:
    rules = rules or default_rules()
    return read_best(select_series(index_study(folder), rules), rules, partial(read_volume, role="test"))


DAMAGED = {
    "cut short": (cut_short, "the file is cut short or its header is wrong"),
    "beyond the range": (beyond_the_range, "check RescaleSlope"),
}


@pytest.mark.parametrize(("damage", "why"), DAMAGED.values(), ids=DAMAGED)
def test_the_next_best_is_read_and_both_reasons_are_told(tmp_path: Path, damage: Damage, why: str):
    damage(BEST, tmp_path / "best")
    whole(NEXT, tmp_path / "next")
    best = read(tmp_path)
    ((decision, source),) = best.read
    assert source.series_instance_uid == NEXT.series_instance_uid
    assert decision.roles == ("CT volume",)
    assert decision.reasons[0].startswith(f"in place of a better CT volume: series {BEST.series_instance_uid}: ")
    assert why in decision.reasons[0]
    (rejected,) = [one for one in best.decisions if not one.selected]
    assert rejected.reasons[0].startswith("cannot be read: ")
    assert why in rejected.reasons[0]
    (unreadable,) = best.unreadable
    assert f"series {NEXT.series_instance_uid} is read in its place" in unreadable.message
    assert best.unfilled == ()


def test_two_pixels_for_one_place_leave_the_place_to_the_next(tmp_path: Path):
    """Every slice of the best comes twice, once with other pixels, and nothing tells the two apart."""
    datasets = build_datasets(BEST)
    for dataset in build_datasets(BEST):
        dataset.SOPInstanceUID = f"1.2.3.{dataset.InstanceNumber}"
        dataset.PixelData = np.full((10, 8), 7, "<i2").tobytes()
        datasets.append(dataset)
    save_series(datasets, tmp_path / "best")
    derived = build_datasets(NEXT)
    for dataset in derived:
        dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    save_series(derived, tmp_path / "next")
    best = read(tmp_path)
    assert [source.series_instance_uid for _, source in best.read] == [NEXT.series_instance_uid]
    assert "hold different pixels" in best.unreadable[0].message


def test_the_one_after_the_next_is_read_where_that_is_bad_too(tmp_path: Path):
    cut_short(BEST, tmp_path / "best")
    beyond_the_range(replace(NEXT, shape=(10, 10, 8)), tmp_path / "next")
    third = replace(NEXT, series="third")
    whole(third, tmp_path / "third")
    best = read(tmp_path)
    ((decision, source),) = best.read
    assert source.series_instance_uid == third.series_instance_uid
    assert [reason.partition(":")[0] for reason in decision.reasons[:2]] == ["in place of a better CT volume"] * 2


def test_a_good_ct_beside_a_bad_mr_is_read(tmp_path: Path):
    whole(BEST, tmp_path / "ct")
    cut_short(MR, tmp_path / "mr")
    best = read(tmp_path)
    assert [decision.roles for decision, _ in best.read] == [("CT volume",)]
    (unfilled,) = best.unfilled
    assert (unfilled.role, type(unfilled.error)) == ("MR volume", UnsupportedPixelDataError)
    assert "(the best MR volume; no other series fits)" in unfilled.message
    assert not [reason for decision, _ in best.read for reason in decision.reasons if "in place" in reason]


def test_where_nothing_can_be_read_the_best_says_why(tmp_path: Path):
    cut_short(BEST, tmp_path / "best")
    beyond_the_range(NEXT, tmp_path / "next")
    with pytest.raises(UnsupportedPixelDataError, match=f"series {BEST.series_instance_uid}: .* cut short"):
        read(tmp_path)


def test_another_volume_of_the_series_is_the_next_best(tmp_path: Path):
    """Two echoes; the first, which would be taken, is cut short."""
    for echo in (1, 2):
        datasets = build_datasets(replace(MR, study="echoes"))
        for dataset in datasets:
            dataset.SOPInstanceUID, dataset.EchoTime = f"1.2.{echo}.{dataset.InstanceNumber}", 10 * echo
        path = save_series(datasets, tmp_path / str(echo))[0]
        if echo == 1:
            path.write_bytes(path.read_bytes()[:-40])
    best = read(tmp_path)
    ((decision, source),) = best.read
    assert {header.EchoTime for header in source.headers} == {20}
    assert decision.reasons[0].startswith("in place of a better MR volume: ")


def test_a_volume_is_read_once_for_all_its_roles(tmp_path: Path):
    """The better one for the second role is bad; the first role's volume, already read, serves both."""
    whole(BEST, tmp_path / "best")
    cut_short(NEXT, tmp_path / "next")
    short = {"property": "num_slices", "max": 6}
    roles = [
        {"name": "long", "modality": "CT"},
        {"name": "short", "modality": "CT", "prefers": [{"name": "few slices", "points": 9, "when": short}]},
    ]
    rules = SelectionRules.model_validate({"every": default_rules().every, "roles": roles})
    calls = []

    def counted(volume):
        calls.append(volume)
        return read_volume(volume, role="test")

    best = read_best(select_series(index_study(tmp_path), rules), rules, counted)
    assert [decision.roles for decision, _ in best.read] == [("long", "short")]
    assert len(calls) == 2


@pytest.mark.parametrize("error", [ResourceError("no memory"), KeyError("a fault of ours")])
def test_what_is_not_the_volumes_fault_ends_the_run(tmp_path: Path, error: Exception):
    whole(BEST, tmp_path / "best")
    whole(NEXT, tmp_path / "next")

    def failing(volume):
        raise error

    with pytest.raises(type(error)):
        read_best(select_series(index_study(tmp_path)), default_rules(), failing)


def test_geometry_errors_of_the_reader_count_too(tmp_path: Path):
    whole(BEST, tmp_path / "best")
    whole(NEXT, tmp_path / "next")

    def failing(volume):
        if volume.series_instance_uid == BEST.series_instance_uid:
            raise SeriesGeometryError(f"series {volume.series_instance_uid}: several frames of reference")
        return volume

    best = read_best(select_series(index_study(tmp_path)), default_rules(), failing)
    assert [decision.series.series_instance_uid for decision, _ in best.read] == [NEXT.series_instance_uid]
