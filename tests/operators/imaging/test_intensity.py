import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_voi_lut

from operators.imaging.intensity import clamp, rescale, window


def test_rescaling_is_slope_times_stored_value_plus_intercept():
    physical = rescale(np.array([-2, 0, 3000], np.int16), 0.5, -1024)
    np.testing.assert_array_equal(physical, np.array([-1025, -1024, 476], np.float32))
    assert physical.dtype == np.float32


def test_clamping_moves_only_what_lies_outside():
    np.testing.assert_array_equal(clamp(np.array([-3000.0, -1000.0, 5.0, 9.0]), -1000, 7), [-1000, -1000, 5, 7])


@pytest.mark.parametrize(("centre", "width"), [(40, 400), (-600, 1500), (0, 2), (50, 1)])
def test_a_window_is_dicoms_linear_function(centre, width):
    values = np.arange(-1400, 300, dtype=np.int16)
    dataset = Dataset()
    dataset.BitsStored, dataset.PixelRepresentation = 16, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = centre, width
    shown = apply_voi_lut(values, dataset)
    np.testing.assert_allclose(window(values, centre, width), (shown + 32768) / 65535, atol=1e-6)


def test_a_window_has_a_width():
    with pytest.raises(ValueError, match="window: expected a width of at least 1, got 0"):
        window(np.zeros(1), 40, 0)
