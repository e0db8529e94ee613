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


@pytest.mark.parametrize(
    "change",
    [
        lambda volume: volume.cropped((1, 1, 2), (3, 3, 5)),
        lambda volume: volume.strided((2, 3, 2)),
        lambda volume: volume.grown((1, 0, 2), (0, 3, 1), fill=-1.0),
        lambda volume: volume.grown((1, 2, 3), (1, 2, 3), fill=-1.0).cropped((1, 2, 3), (4, 6, 8)),
    ],
    ids=["cropped", "strided", "grown", "grown and cropped again"],
)
def test_a_voxel_that_stays_is_where_it_was(change):
    volume = some_volume()
    changed = change(volume)
    kept = np.intersect1d(changed.array, volume.array)
    assert len(kept) >= 6
    for value in kept:
        np.testing.assert_allclose(position_of(changed, value), position_of(volume, value), atol=1e-12)


def test_a_sampled_grid_lies_between_the_voxels_where_it_is_told():
    sampled = SPEC.geometry.sampled((0.5, -1, 2), (2, 1.5, 0.25), (2, 3, 4))
    assert (sampled.shape, sampled.frame_of_reference_uid) == ((2, 3, 4), SPEC.geometry.frame_of_reference_uid)
    np.testing.assert_allclose(
        sampled.positions(np.array([1, 2, 3])), SPEC.geometry.positions(np.array([2.5, 2.0, 2.75])), atol=1e-12
    )


def test_a_margin_holds_the_fill_value_and_a_stride_keeps_the_first():
    grown = some_volume().grown((1, 0, 2), (0, 3, 1), fill=-1.0)
    assert grown.array.shape == (4, 7, 8)
    assert (grown.array == -1.0).sum() == 4 * 7 * 8 - 60
    np.testing.assert_array_equal(some_volume().strided((2, 3, 4)).array.ravel(), [0, 4, 15, 19, 40, 44, 55, 59])


@pytest.mark.parametrize(("start", "stop"), [((0, 0, 0), (4, 4, 5)), ((-1, 0, 0), (3, 4, 5)), ((0, 2, 0), (3, 2, 5))])
def test_a_crop_outside_the_grid_is_refused(start, stop):
    with pytest.raises(ValueError, match=r"expected indices inside the shape \(3, 4, 5\)"):
        some_volume().geometry.cropped(start, stop)


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
