import numpy as np
import pytest
import scipy.ndimage
import torch

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.array_module import select_array_module
from operators.imaging.resampling import parallel_axes, resample, resize_slices
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


def turned(angle: float) -> np.ndarray:
    """A rotation about the row axis."""
    matrix = np.eye(4)
    matrix[::2, ::2][:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def scaled(*factors: float, offset: tuple[float, float, float] = (0.31, -0.87, 1.23)) -> np.ndarray:
    matrix = np.diag([*factors, 1.0])
    matrix[:3, 3] = offset
    return matrix


TRANSFORMS = {
    "finer and coarser": scaled(0.37, 1.71, 2.3),
    "beyond the border": scaled(1.3, 1.3, 1.3, offset=(-6.2, 9.9, -3.1)),
    "flipped": scaled(-0.7, 1.2, -1.9, offset=(10.1, 0.2, 28.4)),
    "axes swapped": scaled(0.7, 1.2, 1.9)[[2, 0, 1, 3]],
    "oblique": turned(0.3) @ scaled(0.8, 1.1, 1.4),
}


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_values_are_scipys(name, order, dtype):
    transform, shape = TRANSFORMS[name], (11, 16, 14)
    array = (300 * np.random.default_rng(0).normal(size=SOURCE.shape)).astype(dtype)
    target = Geometry(SOURCE.affine @ transform, shape, SOURCE.frame_of_reference_uid)
    result = resample(Volume(array, SOURCE), target, order=order).array
    expected = scipy.ndimage.affine_transform(
        array.astype(np.float32), transform[:3, :3], transform[:3, 3], output_shape=shape, order=order, mode="nearest"
    )
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=0 if order == 0 else 5e-6 * np.ptp(array))


def test_only_parallel_axes_are_mapped_one_by_one():
    shape = (101, 16, 14)
    assert parallel_axes(TRANSFORMS["axes swapped"], shape) == (1, 2, 0)
    assert parallel_axes(turned(0.5e-6), shape) == (0, 1, 2)
    assert parallel_axes(turned(2e-6), shape) is None


def test_an_unknown_order_is_an_error():
    with pytest.raises(ValueError, match=r"order: expected one of \(0, 1, 3\), got 2"):
        resample(Volume(np.zeros(SOURCE.shape), SOURCE), INSIDE, order=2)


@pytest.mark.gpu
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_gpu_gives_the_same(name, order):
    array = np.random.default_rng(0).normal(size=SOURCE.shape).astype(np.float32)
    target = Geometry(SOURCE.affine @ TRANSFORMS[name], (11, 16, 14), SOURCE.frame_of_reference_uid)
    on_gpu = Volume(select_array_module("cuda").asarray(array), SOURCE)
    expected = resample(Volume(array, SOURCE), target, order=order).array
    np.testing.assert_allclose(resample(on_gpu, target, order=order).array.get(), expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width", "size"), [(300, 411, 512), (300, 411, 128), (64, 64, 64), (7, 900, 96)])
def test_resizing_is_torchs_antialiased_bicubic(height, width, size):
    array = np.random.default_rng(1).normal(size=(2, height, width)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(array)[:, None], (size, size), mode="bicubic", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(resize_slices(array, size), expected[:, 0].numpy(), atol=1e-5)
