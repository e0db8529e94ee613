import numpy as np
import pytest
import scipy.ndimage

from operators.domain.geometry import Geometry
from operators.domain.transform import DisplacementField
from operators.domain.volume import Volume
from operators.imaging.resampling import resample
from operators.imaging.warping import warp
from phantoms import OBLIQUE, SeriesSpec, grid_positions, ramp_value

MOVING = SeriesSpec(shape=(14, 20, 30), row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], study="prior").geometry
TARGET = SeriesSpec(shape=(5, 6, 7), pixel_spacing=(0.5, 0.7), slice_spacing=0.9).geometry
FIELD = SeriesSpec(
    shape=(5, 7, 7), row_cosine=OBLIQUE[1], column_cosine=OBLIQUE[0], pixel_spacing=(1.5, 1.5), slice_spacing=2.0
).geometry


def linear_field(matrix: np.ndarray, offset: np.ndarray) -> DisplacementField:
    displacements = grid_positions(FIELD) @ matrix.T + offset
    return DisplacementField(np.moveaxis(displacements, -1, 0).astype(np.float32), FIELD)


def test_an_affine_displacement_moves_a_ramp_by_the_formula():
    matrix = np.array([[0.02, -0.1, 0.05], [0.07, 0.0, -0.03], [0.04, 0.06, 0.01]])
    offset = np.array([1.5, -0.7, 0.4])
    volume = Volume(ramp_value(grid_positions(MOVING)).astype(np.float32), MOVING)
    positions = grid_positions(TARGET)
    result = warp(volume, linear_field(matrix, offset), TARGET, order=1)
    # Trilinear interpolation keeps linear functions, the field's and the volume's; the grids must hold all places.
    assert ((FIELD.indices(positions) >= 0) & (FIELD.indices(positions) <= np.array(FIELD.shape) - 1)).all()
    np.testing.assert_allclose(result.array, ramp_value(positions + positions @ matrix.T + offset), atol=2e-3)
    assert result.geometry is TARGET


@pytest.mark.parametrize("order", [0, 1, 3])
def test_any_field_is_trilinear_between_its_voxels(order):
    rng = np.random.default_rng(0)
    array = rng.normal(size=MOVING.shape).astype(np.float32)
    field = DisplacementField(rng.normal(scale=3, size=(3, *FIELD.shape)).astype(np.float32), FIELD)
    positions = grid_positions(TARGET)
    places = np.moveaxis(FIELD.indices(positions), -1, 0)
    shifts = [scipy.ndimage.map_coordinates(u, places, order=1, mode="nearest") for u in field.displacements]
    moved = np.moveaxis(MOVING.indices(positions + np.stack(shifts, axis=-1)), -1, 0)
    expected = scipy.ndimage.map_coordinates(array, moved, order=order, mode="nearest")
    result = warp(Volume(array, MOVING), field, TARGET, order=order).array
    np.testing.assert_allclose(result, expected, atol=0 if order == 0 else 2e-5)


def test_without_displacement_it_is_resampling():
    volume = Volume(np.random.default_rng(0).normal(size=MOVING.shape).astype(np.float32), MOVING)
    target = Geometry(TARGET.affine, TARGET.shape, MOVING.frame_of_reference_uid)
    still = DisplacementField(np.zeros((3, *FIELD.shape), np.float32), FIELD)
    expected = resample(volume, target, order=1).array
    np.testing.assert_allclose(warp(volume, still, TARGET, order=1).array, expected, atol=1e-6)


def test_a_field_of_another_frame_of_reference_is_refused():
    still = DisplacementField(np.zeros((3, *MOVING.shape), np.float32), MOVING)
    with pytest.raises(ValueError, match="frame of reference: the two grids differ"):
        warp(Volume(np.zeros(MOVING.shape), MOVING), still, TARGET, order=1)


def test_a_field_has_three_components_at_every_voxel():
    with pytest.raises(ValueError, match=r"displacements: expected shape \(3, 5, 7, 7\), got \(5, 7, 7, 3\)"):
        DisplacementField(np.zeros((*FIELD.shape, 3)), FIELD)
