import numpy as np
import pytest

from operators.imaging.separable import build_axis_map, map_axes


def band(target: int, source: int, width: int, seed: int) -> np.ndarray:
    """Random weights near the line from the first to the last index."""
    centres = np.linspace(0, source - 1, target)[:, None]
    weights = np.random.default_rng(seed).normal(size=(target, source))
    return np.where(np.abs(np.arange(source) - centres) <= width, weights, 0.0)


@pytest.mark.parametrize(
    ("source", "target"),
    [((9, 30, 41), (20, 11, 17)), ((9, 30, 41), (5, 64, 70)), ((1, 8, 1), (3, 8, 5))],
    ids=["planes first", "slices first", "single voxels"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_each_axis_is_multiplied_by_its_matrix(source, target, dtype):
    array = (100 * np.random.default_rng(0).normal(size=source)).astype(dtype)
    matrices = [band(t, s, 3, seed) for seed, (t, s) in enumerate(zip(target, source, strict=True))]
    expected = np.einsum("ai,bj,ck,ijk->abc", *matrices, array.astype(np.float64), optimize=True)
    result = map_axes(array, *map(build_axis_map, matrices))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6 * np.abs(expected).max())


def test_any_view_of_an_array_will_do():
    array = np.random.default_rng(0).normal(size=(9, 30, 12)).astype(np.float32)
    view = array.transpose(2, 0, 1)[::-1, :, ::-1]
    maps = [build_axis_map(band(7, size, 2, seed)) for seed, size in enumerate(view.shape)]
    np.testing.assert_array_equal(map_axes(view, *maps), map_axes(np.ascontiguousarray(view), *maps))
