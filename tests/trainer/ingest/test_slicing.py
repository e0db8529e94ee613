from dataclasses import replace

import numpy as np
import pytest

from operators.domain.volume import Volume
from operators.errors import UnsupportedPixelDataError
from phantoms import CORONAL, OBLIQUE, SAGITTAL, SeriesSpec, grid_positions, phantom_value
from trainer.ingest.found_volumes import FoundVolume
from trainer.ingest.slicing import slices_of_volume
from trainer.pretraining.data.samples import SliceSample

SPEC = SeriesSpec(shape=(6, 20, 30), slice_spacing=8.0)


def _found(spec: SeriesSpec, array: np.ndarray | None = None) -> FoundVolume:
    values = phantom_value(grid_positions(spec.geometry)) if array is None else array
    return FoundVolume("p" * 32, "s" * 16, "k" * 16, "CT", "HU", None, Volume(values.astype(np.float32), spec.geometry))


def _slices(spec: SeriesSpec, array: np.ndarray | None = None) -> list[SliceSample]:
    return list(slices_of_volume(_found(spec, array)))


def test_an_axial_slice_is_the_formulas_values_with_rows_to_posterior_and_columns_to_left() -> None:
    spec = replace(SPEC, row_cosine=(-1.0, 0.0, 0.0), column_cosine=(0.0, -1.0, 0.0))  # Head first, lying face down.
    middle = np.array(spec.centre_lps_mm)
    rows, columns = np.meshgrid((np.arange(20) - 9.5) * 1.2, (np.arange(30) - 14.5) * 0.9, indexing="ij")
    for number, sample in enumerate(_slices(spec)):
        height = np.full_like(rows, (number - 2.5) * 8.0)
        expected = phantom_value(middle + np.stack([columns, rows, height], axis=-1))
        np.testing.assert_array_equal(sample.pixels, expected)
        assert sample.key == f"{'s' * 16}-{'k' * 16}-{number:05d}"


@pytest.mark.parametrize(
    ("cosines", "plane", "spacing"),
    [
        (((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), "axial", (1.2, 0.9)),
        (((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)), "axial", (0.9, 1.2)),
        (CORONAL, "coronal", (1.2, 0.9)),
        # Published as (I, P): the rows go down, the columns back.
        (SAGITTAL, "sagittal", (1.2, 0.9)),
        (OBLIQUE, "coronal", (1.2, 0.9)),
    ],
)
def test_plane_and_spacing_follow_the_slices(
    cosines: tuple[tuple[float, float, float], ...], plane: str, spacing: tuple[float, float]
) -> None:
    for sample in _slices(replace(SPEC, row_cosine=cosines[0], column_cosine=cosines[1])):
        assert sample.plane == plane
        assert sample.spacing_mm == pytest.approx(spacing)


def test_values_are_rounded_not_cut() -> None:
    array = np.zeros(SPEC.shape)
    array[0, 0, :4] = (-1000.6, -0.6, 0.4, 100.7)
    (sample,) = _slices(SPEC, array)
    assert sorted(sample.pixels[sample.pixels != 0].tolist()) == [-1001, -1, 101]


@pytest.mark.parametrize(
    ("high", "message"),
    [(40_000.0, "expected values in int16's range"), (0.002, "a range of 16 whole numbers"), (np.nan, "got nan")],
)
def test_what_does_not_fit_is_refused(high: float, message: str) -> None:
    array = np.zeros(SPEC.shape)
    array[2, 3, 4] = high
    with pytest.raises(UnsupportedPixelDataError, match=message):
        _slices(SPEC, array)
