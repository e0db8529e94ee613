import numpy as np
import pytest

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from phantoms import OBLIQUE, SeriesSpec

SPEC = SeriesSpec(shape=(3, 4, 5), row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1])


def some_volume() -> Volume:
    return Volume(np.arange(60.0).reshape(3, 4, 5), SPEC.geometry)


def position_of(volume: Volume, value: float) -> np.ndarray:
    index = np.argwhere(volume.array == value)[0]
    return volume.geometry.positions(index)


def test_positions_follow_the_cosines_and_spacings():
    geometry = SPEC.geometry
    step = geometry.positions(np.array([0, 1, 0])) - geometry.positions(np.array([0, 0, 0]))
    np.testing.assert_allclose(step, np.array(OBLIQUE[1]) * SPEC.pixel_spacing[0])
    np.testing.assert_allclose(geometry.spacing, [SPEC.slice_spacing, *SPEC.pixel_spacing])
    assert geometry.voxel_volume_ml == pytest.approx(3.0 * 1.2 * 0.9 / 1000)


def test_indices_undo_positions():
    indices = np.random.default_rng(0).uniform(-5, 5, (10, 3))
    np.testing.assert_allclose(SPEC.geometry.indices(SPEC.geometry.positions(indices)), indices, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flipping_moves_no_voxel(axis):
    volume = some_volume()
    for value in (0.0, 17.0, 59.0):
        np.testing.assert_allclose(position_of(volume.flipped(axis), value), position_of(volume, value))


@pytest.mark.parametrize("axes", [(0, 2, 1), (2, 0, 1), (1, 2, 0)])
def test_permuting_moves_no_voxel(axes):
    volume = some_volume()
    for value in (0.0, 17.0, 59.0):
        np.testing.assert_allclose(position_of(volume.permuted(axes), value), position_of(volume, value))


def test_rescaling_keeps_the_block_of_space():
    coarse = SPEC.geometry.rescaled((3, 2, 1))
    # The outer corners of the corner voxels stay where they are.
    for old, new in (([-0.5] * 3, [-0.5] * 3), ([2.5, 3.5, 4.5], [2.5, 1.5, 0.5])):
        np.testing.assert_allclose(coarse.positions(np.array(new)), SPEC.geometry.positions(np.array(old)))


def test_a_singular_affine_is_refused():
    with pytest.raises(ValueError, match="singular"):
        Geometry(np.diag([1.0, 0.0, 1.0, 1.0]), (1, 1, 1))


def test_an_array_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected the geometry's shape \(3, 4, 5\), got \(3, 4, 4\)"):
        Volume(np.zeros((3, 4, 4)), SPEC.geometry)


def test_two_frames_of_reference_do_not_mix():
    other = Geometry(np.eye(4), (1, 1, 1), "1.2.3")
    with pytest.raises(ValueError, match="frame of reference"):
        SPEC.geometry.index_transform_to(other)
