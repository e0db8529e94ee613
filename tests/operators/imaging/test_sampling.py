import numpy as np
import pytest
import scipy.ndimage

from operators.imaging.sampling import SPLINE_MARGIN, sample_slices, spline_coefficients

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("shape", [(8, 9, 10), (1, 9, 10), (1, 1, 1)])
def test_places_anywhere_have_scipys_values(shape, order):
    array = RNG.normal(size=shape).astype(np.float32)
    # Half of them lie outside; beyond some voxels the spline's overshoot at the edge has died out.
    places = RNG.uniform(-4, 14, size=(5, 3, 6, 7))
    expected = scipy.ndimage.map_coordinates(array, places.swapaxes(0, 1), order=order, mode="nearest")
    result = sample_slices(array, lambda k: places[k], (5, 6, 7), order=order)
    np.testing.assert_allclose(result, expected, atol=0 if order == 0 else 5e-6)


def test_at_the_voxels_a_spline_has_their_values():
    array = RNG.normal(size=(6, 7, 8)).astype(np.float32)
    result = sample_slices(array, lambda k: np.stack([np.full((7, 8), k), *np.indices((7, 8))]), (6, 7, 8), order=3)
    np.testing.assert_allclose(result, array, atol=2e-6)


def test_coefficients_are_scipys():
    array = RNG.normal(size=(6, 7, 80)).astype(np.float32)
    padded = np.pad(array, SPLINE_MARGIN, mode="edge").astype(np.float64)
    expected = scipy.ndimage.spline_filter(padded, 3, mode="nearest")
    np.testing.assert_allclose(spline_coefficients(array), expected, atol=5e-6 * np.abs(expected).max())
