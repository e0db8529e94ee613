"""Slices whose steps change: read where nothing is missing, refused where a slice may be, and said in either case."""

from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from operators.dicom.selection.series_selection import select_series
from operators.dicom.selection.series_splitting import split_series
from operators.dicom.study.study_index import StudyIndex, index_study
from operators.dicom.volumes.slice_steps import SliceSteps
from operators.dicom.volumes.volume_reader import read_volume
from phantoms import OBLIQUE, SeriesSpec, build_uneven, fill_pixels, grid_positions, ramp_value, save_series
from series_cases import series_of

SPEC = SeriesSpec(shape=(9, 12, 10), rescale_slope=0.05, rescale_intercept=0.0)


def contiguous(*thicknesses: float) -> list[float]:
    """Middles of slices that touch."""
    edges = list(accumulate(thicknesses, initial=0.0))
    return [(low + high) / 2 for low, high in zip(edges, edges[1:], strict=False)]


def read(folder: Path, distances, thicknesses, spec: SeriesSpec = SPEC):
    datasets = build_uneven(spec, distances, thicknesses, ramp_value)
    save_series(datasets, folder)
    (series,) = index_study(folder).series
    (candidate,) = split_series(series)
    return read_volume(candidate, role="test")


HEADS = {
    "2.5 and 5": [2.5] * 12 + [5.0] * 20,
    "3 and 5": [3.0] * 12 + [5.0] * 20,
    "4 and 7": [4.0] * 12 + [7.0] * 10,
    "5 and 8": [5.0] * 8 + [8.0] * 10,
    "5 and 7.5": [5.0] * 8 + [7.5] * 10,
    "1.25 and 5": [1.25] * 20 + [5.0] * 15,
    "4, 7 and 1.08": [1.08] * 6 + [4.0] * 12 + [7.0] * 12,
    "4, one of 1.08, and 7": [4.0] * 12 + [1.08] + [7.0] * 12,
    "thick below": [5.0] * 15 + [1.25] * 20,
    "thin in the middle": [5.0] * 8 + [2.5] * 8 + [5.0] * 8,
}


@pytest.mark.parametrize("thicknesses", HEADS.values(), ids=HEADS)
def test_steps_that_follow_the_thickness_are_read_at_the_same_millimetres(tmp_path: Path, thicknesses):
    distances = np.array(contiguous(*thicknesses))
    source = read(tmp_path, distances, thicknesses, replace(SPEC, row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1]))
    geometry = source.volume.geometry
    np.testing.assert_allclose(source.volume.array, ramp_value(grid_positions(geometry)), atol=0.026)
    (remark,) = source.remarks
    assert "as the slices' thickness" in remark
    # Every thin slice has a plane nearer than its faces, so that what it alone shows is seen.
    planes = distances[0] + np.arange(geometry.shape[0]) * geometry.spacing[0]
    assert planes[-1] == pytest.approx(distances[-1], abs=1e-4)
    nearest = np.abs(distances[:, None] - planes).min(axis=1)
    assert (nearest > np.array(thicknesses) / 2 + 1e-6).sum() <= (thicknesses.count(min(thicknesses)) == 1)
    assert len(planes) <= 4 * len(distances)


@pytest.mark.parametrize("thicknesses", HEADS.values(), ids=HEADS)
def test_a_slice_missing_anywhere_is_never_interpolated_over(thicknesses):
    distances = contiguous(*thicknesses)
    for missing in range(1, len(distances) - 1):
        rest = SliceSteps(np.delete(distances, missing), np.delete(thicknesses, missing))
        accepted = rest.is_regular or rest.slabs or rest.interleaved
        assert not accepted, f"slice {missing + 1} is missing"


def test_what_is_refused_names_the_slice_that_is_missing():
    thicknesses = [4.0] * 12 + [7.0] * 9
    distances = contiguous(*thicknesses)
    datasets = build_uneven(SPEC, np.delete(distances, 5), np.delete(thicknesses, 5))
    (decision,) = select_series(StudyIndex((series_of(datasets),), 0))
    assert "1 missing between slices 5 and 6; send the complete series" in decision.reasons[0]


@pytest.mark.parametrize("overlap", [0.5, 0.7, 1.0, 1.4])
def test_a_missing_slice_shows_whatever_the_overlap_or_gap(overlap: float):
    distances = [overlap * 5.0 * k for k in range(20) if k != 7]
    (decision,) = select_series(StudyIndex((series_of(build_uneven(SPEC, distances, [5.0] * 19)),), 0))
    assert "1 missing between slices 7 and 8; send the complete series" in decision.reasons[0]


UNEXPLAINED = {
    "slices of one thickness": ([5.0] * 22, "SliceThickness stays 5 mm"),
    "slices that do not say": ([""] * 22, "SliceThickness is not given"),
    "slices that change elsewhere": ([2.5] * 5 + [5.0] * 17, "SliceThickness of 2.5 to 5 mm does not follow it"),
}


@pytest.mark.parametrize(("thicknesses", "words"), UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_a_step_that_nothing_explains_is_refused_without_a_claim(thicknesses, words: str):
    """Two parallel transfers of which one broke off leave every second slice of the rest."""
    distances = [2.5 * k for k in range(10)] + [22.5 + 5.0 * k for k in range(1, 13)]
    (decision,) = select_series(StudyIndex((series_of(build_uneven(SPEC, distances, thicknesses)),), 0))
    assert words in decision.reasons[0]
    assert "complete series" not in decision.reasons[0]


def test_slabs_that_overlap_at_their_ends_are_one_volume(tmp_path: Path):
    lower, upper = [5.0 * k for k in range(11)], [47.0 + 5.0 * k for k in range(11)]
    source = read(tmp_path, sorted(lower + upper), [5.0] * 22)
    np.testing.assert_allclose(source.volume.array, ramp_value(grid_positions(source.volume.geometry)), atol=0.026)
    assert "2.000 to 5.000 mm apart in 2 slabs that overlap at their ends" in source.remarks[0]


def test_a_slab_may_begin_soon_after_another_ends(tmp_path: Path):
    lower, upper = [5.0 * k for k in range(11)], [51.08 + 5.0 * k for k in range(11)]
    source = read(tmp_path, lower + upper, [5.0] * 22)
    np.testing.assert_allclose(source.volume.array, ramp_value(grid_positions(source.volume.geometry)), atol=0.026)
    assert "1.080 to 5.000 mm apart in 2 slabs" in source.remarks[0]


def test_a_slice_missing_of_a_slab_is_never_interpolated_over():
    lower, upper = [5.0 * k for k in range(11)], [47.0 + 5.0 * k for k in range(11)]
    # Where a slab ends is not known; the other shows what its last slice would.
    for missing in (*lower[1:-1], *upper[1:-1]):
        rest = sorted({*lower, *upper} - {missing})
        steps = SliceSteps(np.array(rest), np.full(21, 5.0))
        assert not steps.is_regular
        assert not steps.slabs
        assert not steps.interleaved


def test_a_thick_slice_alone_may_be_a_missing_one():
    """Writers that take the distance to the next slice for its thickness."""
    distances = np.array([0.0, 5, 10, 20, 25, 30])
    assert not SliceSteps(distances, np.array([5.0, 5, 10, 5, 5, 5])).is_regular
    assert not SliceSteps(distances, np.array([5.0, 5, 5, 10, 5, 5])).is_regular


@pytest.mark.parametrize("first_of_two", [True, False])
def test_positions_may_be_of_edges(first_of_two: bool):
    thicknesses = [2.5] * 8 + [5.0] * 8
    distances = np.cumsum([0.0, *(thicknesses[:-1] if first_of_two else thicknesses[1:])])
    assert SliceSteps(distances, np.array(thicknesses)).is_regular


def test_a_tilted_head_of_two_thicknesses_is_read_at_the_same_millimetres(tmp_path: Path):
    thicknesses = [2.5] * 10 + [5.0] * 8
    datasets = build_uneven(SPEC, contiguous(*thicknesses), thicknesses)
    for dataset in datasets:
        dataset.ImagePositionPatient[1] += 0.3 * (dataset.ImagePositionPatient[2] + 10)
        fill_pixels(dataset, ramp_value)
    save_series(datasets, tmp_path)
    (series,) = index_study(tmp_path).series
    source = read_volume(split_series(series)[0], role="test")
    inside = source.volume.array != -1000
    expected = ramp_value(grid_positions(source.volume.geometry))
    np.testing.assert_allclose(source.volume.array[inside], expected[inside], atol=0.03)
    assert inside.mean() > 0.3
    assert ["gantry tilt" in remark for remark in source.remarks] == [False, True]


@pytest.mark.parametrize("told_by", [{"AcquisitionNumber": (1, 2)}, {"ConvolutionKernel": ("B30f", "B70f")}, {}])
def test_acquisitions_between_one_anothers_slices_are_volumes_of_their_own(told_by):
    first, second = [5.0 * k for k in range(10)], [1.3 + 5.0 * k for k in range(10)]
    datasets = build_uneven(SPEC, first + second, [5.0] * 20)
    for number, dataset in enumerate(datasets):
        for keyword, values in told_by.items():
            setattr(dataset, keyword, values[number >= 10])
    volumes = split_series(series_of(datasets))
    expected = [[dataset.SOPInstanceUID for dataset in part] for part in (datasets[:10], datasets[10:])]
    assert [[plane.header.SOPInstanceUID for plane in volume.slices] for volume in volumes] == expected
    (decision,) = select_series(StudyIndex((series_of(datasets),), 0))
    assert decision.selected
    assert decision.reasons[0].startswith("volume 1 of 2 in the series: ")


def test_slices_taken_in_turn_are_one_stack():
    """MR of two concatenations: every second slice belongs to the other acquisition."""
    datasets = build_uneven(replace(SPEC, modality="MR"), [6.0 * k + 0.3 * (k % 2) for k in range(12)], [5.0] * 12)
    for number, dataset in enumerate(datasets):
        dataset.AcquisitionNumber = 1 + number % 2
    assert [len(volume.slices) for volume in split_series(series_of(datasets))] == [12]


def test_what_is_half_of_a_stack_with_gaps_is_not_taken_for_one():
    """Slices 2 and 10 of 11 that overlap are missing; every second of the rest would make an even stack."""
    datasets = build_uneven(SPEC, [2.5 * k for k in range(11) if k not in (1, 9)], [5.0] * 9)
    (decision,) = select_series(StudyIndex((series_of(datasets),), 0))
    assert not decision.selected
