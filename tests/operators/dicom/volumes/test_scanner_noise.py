"""What scanners and writers do to the place of slices without meaning it: read, and said where it can be seen."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from scipy.spatial.transform import Rotation

from operators.dicom.selection.series_selection import select_series
from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.slice_stack import EDGE_TOLERANCE_MM
from operators.dicom.volumes.volume_reader import read_volume
from phantoms import AXIAL, OBLIQUE, SeriesSpec, build_datasets, fill_pixels, grid_positions, ramp_value, save_series

SPEC = SeriesSpec(shape=(8, 200, 250), pixel_spacing=(1.0, 1.0), rescale_slope=0.1, rescale_intercept=0.0)
"""250 mm wide, as a head."""

RAMP_PER_MM = 6.2
"""How fast the ramp can rise."""

Change = Callable[[int, Dataset], None]


def read(folder: Path, change: Change, spec: SeriesSpec = SPEC, *, again: tuple[int, Change] | None = None):
    """The series as the selection and the reader take it; every slice holds the ramp at its own true place."""
    datasets = build_datasets(spec)
    if again:
        number, change_copy = again
        copy = build_datasets(spec)[number]
        copy.SOPInstanceUID = "1.2.3.4"
        change_copy(number, copy)
        datasets.append(copy)
    for number, dataset in enumerate(datasets):
        fill_pixels(dataset, ramp_value)
        change(number, dataset)
    save_series(datasets, folder)
    (decision,) = select_series(index_study(folder))
    assert decision.selected, decision.reasons
    return read_volume(decision.volume, role="test")


def assert_ramp(source, tolerance_mm: float) -> None:
    """Within the tolerance at the edge; 0.05 is half a rescale step."""
    expected = ramp_value(grid_positions(source.volume.geometry))
    assert np.abs(source.volume.array - expected).max() <= 0.051 + tolerance_mm * RAMP_PER_MM


@pytest.mark.parametrize("cosines", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("angle", [1e-4, 5e-4, 1e-3])
def test_slices_turned_by_motion_correction_are_read(tmp_path: Path, angle: float, cosines):
    def turn(number: int, dataset: Dataset) -> None:
        rng = np.random.default_rng(number)
        turned = Rotation.from_rotvec(angle * rng.normal(size=3) / 2).apply(np.array(cosines))
        dataset.ImageOrientationPatient = [round(float(x), 7) for x in turned.ravel()]
        fill_pixels(dataset, ramp_value)

    source = read(tmp_path, turn, replace(SPEC, row_cosine=cosines[0], column_cosine=cosines[1]))
    assert not source.is_resampled
    assert_ramp(source, 2 * EDGE_TOLERANCE_MM)
    assert any("direction cosines differ" in remark for remark in source.remarks) is (angle > 1e-4)


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_cosines_written_with_few_digits_are_unit_vectors(tmp_path: Path, digits: int):
    """Turned by 26 degrees about the body's axis and 10 about another; 2 digits make a length of 0.998."""
    matrix = Rotation.from_euler("zx", [26, 10], degrees=True).as_matrix()
    spec = replace(SPEC, row_cosine=tuple(matrix[:, 0]), column_cosine=tuple(matrix[:, 1]))

    def rounded(number: int, dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [round(float(x), digits) for x in dataset.ImageOrientationPatient]

    source = read(tmp_path, rounded, spec)
    directions = source.volume.geometry.directions
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)
    assert not source.is_resampled
    assert_ramp(source, 10.0**-digits * 250)


def test_a_length_of_0_998_is_read(tmp_path: Path):
    def shorten(number: int, dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [0.998, 0, 0, 0, 0.998, 0]

    assert_ramp(read(tmp_path, shorten), 0.0)


def test_jitter_in_the_plane_is_read_as_it_is(tmp_path: Path):
    def jitter(number: int, dataset: Dataset) -> None:
        x, y = np.random.default_rng(number).uniform(-0.3, 0.3, 2)
        dataset.ImagePositionPatient[0] += round(x, 4)
        dataset.ImagePositionPatient[1] += round(y, 4)
        fill_pixels(dataset, ramp_value)

    source = read(tmp_path, jitter)
    assert not source.is_resampled
    assert_ramp(source, 0.5)
    assert "beside one another in their plane; they are read as they are" in source.remarks[0]


def test_a_tilted_stack_may_jitter(tmp_path: Path):
    def tilt(number: int, dataset: Dataset) -> None:
        dataset.ImagePositionPatient[1] += round(0.9 * number + [0.2, -0.2, 0.1, -0.1][number % 4], 4)
        fill_pixels(dataset, ramp_value)

    source = read(tmp_path, tilt)
    assert source.is_resampled
    inside = source.volume.array != -1000
    expected = ramp_value(grid_positions(source.volume.geometry))
    assert np.abs(source.volume.array - expected)[inside].max() <= 0.051 + 0.35 * RAMP_PER_MM
    assert ["gantry tilt" in remark or "beside one another" in remark for remark in source.remarks] == [True, True]


@pytest.mark.parametrize("share", [1e-4, 5e-4, 2e-3])
def test_pixel_spacings_that_differ_in_their_last_digits_are_one(tmp_path: Path, share: float):
    def differ(number: int, dataset: Dataset) -> None:
        dataset.PixelSpacing = [round(1.0 + share * (number % 2), 6)] * 2
        fill_pixels(dataset, ramp_value)

    source = read(tmp_path, differ)
    assert len(source.headers) == 8
    assert_ramp(source, share * 250)


@pytest.mark.parametrize("away", [0.005, 0.02, 0.04])
def test_a_repeat_beside_its_twin_is_the_same_slice(tmp_path: Path, away: float):
    def beside(number: int, dataset: Dataset) -> None:
        dataset.ImagePositionPatient[2] += away

    def same_pixels(number: int, dataset: Dataset) -> None:
        if number == 8:
            dataset.PixelData = build_and_fill()[3].PixelData

    source = read(tmp_path, same_pixels, again=(3, beside))
    assert len(source.headers) == 8
    assert "1 slices that repeat another's position and pixels were left out" in source.remarks[0]


def build_and_fill() -> list[Dataset]:
    datasets = build_datasets(SPEC)
    for dataset in datasets:
        fill_pixels(dataset, ramp_value)
    return datasets


TOO_FAR = {
    "turned": (lambda number, dataset: setattr(dataset, "ImageOrientationPatient", turned(number)), "several directi"),
    "displaced": (lambda number, dataset: shift(number, dataset, 1.2), "slices are displaced in their plane"),
}


def turned(number: int) -> list[float]:
    angle = 0.006 * (number == 4)
    return [float(np.cos(angle)), float(np.sin(angle)), 0, float(-np.sin(angle)), float(np.cos(angle)), 0]


def shift(number: int, dataset: Dataset, mm: float) -> None:
    if number == 4:
        dataset.ImagePositionPatient[0] += mm


@pytest.mark.parametrize(("change", "reason"), TOO_FAR.values(), ids=TOO_FAR)
def test_what_moves_the_edge_by_more_than_a_pixel_is_refused(tmp_path: Path, change: Change, reason: str):
    datasets = build_datasets(SPEC)
    for number, dataset in enumerate(datasets):
        change(number, dataset)
    save_series(datasets, tmp_path)
    (decision,) = select_series(index_study(tmp_path))
    assert not decision.selected
    assert reason in decision.reasons[0]
