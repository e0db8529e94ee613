"""The kernels for resampling and warping against the NumPy path, which other tests hold to scipy.

Largest absolute error, values of order 1: nearest none, trilinear 2e-6, cubic 1e-5; warping 2e-5 for all but nearest.
"""

import numpy as np
import pytest

from operators.domain.transform import DisplacementField
from operators.domain.volume import Volume
from operators.imaging import kernels
from operators.imaging.resampling import resample
from operators.imaging.warping import warp
from phantoms import OBLIQUE, SeriesSpec

SOURCE = SeriesSpec(shape=(7, 20, 30), row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1]).geometry
# Wider than a block of threads, and beyond the source on all sides.
TARGET = SeriesSpec(shape=(5, 4, 140), pixel_spacing=(11.3, 0.41), slice_spacing=5.7).geometry
FIELD = SeriesSpec(shape=(4, 5, 6), pixel_spacing=(3.1, 4.2)).geometry
ARRAY = np.random.default_rng(0).normal(size=SOURCE.shape).astype(np.float32)
ERRORS = {0: 0.0, 1: 2e-6, 3: 1e-5}
WARP_ERRORS = {0: 0.0, 1: 2e-5, 3: 2e-5}


@pytest.mark.parametrize("order", kernels.RESAMPLE)
def test_resampling(order, to_device, to_host):
    transform = SOURCE.index_transform_to(TARGET)
    result = kernels.resample_affine(to_device(ARRAY), transform, TARGET.shape, order=order)
    expected = resample(Volume(ARRAY, SOURCE), TARGET, order=order).array
    np.testing.assert_allclose(to_host(result), expected, atol=ERRORS[order])


@pytest.mark.parametrize("order", kernels.RESAMPLE)
def test_a_reoriented_view_needs_no_copy(order, to_device, to_host):
    volume = Volume(ARRAY, SOURCE).permuted((2, 0, 1)).flipped(1)
    transform = volume.geometry.index_transform_to(TARGET)
    view = to_device(ARRAY).transpose(2, 0, 1)[:, ::-1]
    result = kernels.resample_affine(view, transform, TARGET.shape, order=order)
    expected = resample(volume, TARGET, order=order).array
    np.testing.assert_allclose(to_host(result), expected, atol=ERRORS[order])


@pytest.mark.parametrize("order", kernels.WARP)
def test_warping(order, to_device, to_host):
    displacements = np.random.default_rng(1).normal(scale=4, size=(3, *FIELD.shape)).astype(np.float32)
    to_index = np.linalg.inv(SOURCE.affine)
    result = kernels.warp(
        to_device(ARRAY),
        to_index @ TARGET.affine,
        to_device(displacements),
        FIELD.index_transform_to(TARGET),
        to_index[:3, :3],
        TARGET.shape,
        order=order,
    )
    expected = warp(Volume(ARRAY, SOURCE), DisplacementField(displacements, FIELD), TARGET, order=order).array
    np.testing.assert_allclose(to_host(result), expected, atol=WARP_ERRORS[order])


def test_labels_stay_labels(to_device, to_host):
    labels = np.random.default_rng(0).choice([0, 7, 19], SOURCE.shape).astype(np.int16)
    result = kernels.resample_affine(to_device(labels), SOURCE.index_transform_to(TARGET), TARGET.shape, order=0)
    assert set(np.unique(to_host(result))) == {0, 7, 19}
