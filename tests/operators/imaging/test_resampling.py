import numpy as np
import pytest
import torch

from operators.domain.volume import Volume
from operators.imaging.resampling import resample, resize_slices
from phantoms import OBLIQUE, SeriesSpec, grid_positions, ramp_value

SOURCE = SeriesSpec(shape=(12, 20, 30), row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1]).geometry
INSIDE = SeriesSpec(shape=(5, 6, 7), pixel_spacing=(0.5, 0.7), slice_spacing=0.9).geometry


@pytest.mark.parametrize("order", [1, 3])
def test_a_linear_ramp_survives_any_change_of_grid(order):
    volume = Volume(ramp_value(grid_positions(SOURCE)).astype(np.float32), SOURCE)
    result = resample(volume, INSIDE, order=order)
    # A cubic spline with edge values is not quite linear near the border, hence the looser bound.
    np.testing.assert_allclose(result.array, ramp_value(grid_positions(INSIDE)), atol=1e-3 if order == 1 else 0.5)
    assert result.geometry is INSIDE


def test_nearest_invents_no_label():
    labels = np.random.default_rng(0).choice([0, 7, 19], SOURCE.shape).astype(np.float32)
    result = resample(Volume(labels, SOURCE), INSIDE, order=0).array
    nearest = np.rint(SOURCE.indices(grid_positions(INSIDE))).astype(int)
    np.testing.assert_array_equal(result, labels[tuple(np.moveaxis(nearest, -1, 0))])


@pytest.mark.parametrize(("height", "width", "size"), [(300, 411, 512), (300, 411, 128), (64, 64, 64), (7, 900, 96)])
def test_resizing_is_torchs_antialiased_bicubic(height, width, size):
    array = np.random.default_rng(1).normal(size=(2, height, width)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(array)[:, None], (size, size), mode="bicubic", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(resize_slices(array, size), expected[:, 0].numpy(), atol=1e-5)
