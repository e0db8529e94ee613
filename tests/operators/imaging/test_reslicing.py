import numpy as np
import pytest

from operators.domain.volume import Volume
from operators.imaging.reslicing import enclosing_grid, reslice
from phantoms import AXIAL, OBLIQUE, SeriesSpec, grid_positions, ramp_value

SOURCE = SeriesSpec(shape=(12, 20, 30)).geometry


def directions(row: tuple[float, ...], column: tuple[float, ...]) -> np.ndarray:
    """Slice, row and column axis as columns."""
    return np.stack([np.cross(row, column), column, row], axis=1)


def test_the_sources_own_directions_and_spacing_give_its_own_grid():
    grid = enclosing_grid(SOURCE, directions(*AXIAL), tuple(SOURCE.spacing))
    assert grid.shape == SOURCE.shape
    np.testing.assert_allclose(grid.affine, SOURCE.affine, atol=1e-9)
    assert grid.frame_of_reference_uid == SOURCE.frame_of_reference_uid


def test_the_grid_holds_every_voxel_and_no_more_than_a_spacing_beyond():
    grid = enclosing_grid(SOURCE, directions(*OBLIQUE), (2.0, 1.5, 0.7))
    np.testing.assert_allclose(grid.spacing, (2.0, 1.5, 0.7))
    np.testing.assert_allclose(grid.directions, directions(*OBLIQUE), atol=1e-12)
    indices = grid.indices(grid_positions(SOURCE)).reshape(-1, 3)
    np.testing.assert_allclose(indices.min(axis=0), 0, atol=1e-9)
    beyond = np.array(grid.shape) - 1 - indices.max(axis=0)
    assert ((beyond > -1e-5) & (beyond < 1)).all()


def test_values_stay_where_they_are_in_the_patient():
    volume = Volume(ramp_value(grid_positions(SOURCE)).astype(np.float32), SOURCE)
    cut = reslice(volume, directions(*OBLIQUE), (2.0, 1.5, 0.7), order=1)
    inside = SOURCE.indices(grid_positions(cut.geometry))
    inside = ((inside >= 0) & (inside <= np.array(SOURCE.shape) - 1)).all(axis=-1)
    assert inside.sum() > 1000
    np.testing.assert_allclose(cut.array[inside], ramp_value(grid_positions(cut.geometry))[inside], atol=2e-3)


def test_directions_that_are_not_orthonormal_are_refused():
    with pytest.raises(ValueError, match="directions: expected three orthonormal columns"):
        enclosing_grid(SOURCE, np.diag([1.0, 1.0, 0.5]), (1, 1, 1))


def test_a_spacing_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"spacing: expected millimetres above 0, got \(1, 0, 1\)"):
        enclosing_grid(SOURCE, np.eye(3), (1, 0, 1))
