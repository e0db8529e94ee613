import numpy as np
import pytest

from operators.domain.geometry import Geometry
from operators.domain.transform import Affine, DisplacementField, Rigid

QUARTER_TURN = np.array([[0.0, -1.0, 0.0, 5.0], [1.0, 0.0, 0.0, -2.0], [0.0, 0.0, 1.0, 7.0], [0.0, 0.0, 0.0, 1.0]])


def test_a_quarter_turn_takes_the_left_to_the_back_and_its_inverse_brings_it_home() -> None:
    turn = Rigid(QUARTER_TURN)
    np.testing.assert_allclose(turn.moving_positions(np.array([10.0, 0.0, 0.0])), [5.0, 8.0, 7.0])
    np.testing.assert_allclose(turn.inverse().moving_positions(np.array([5.0, 8.0, 7.0])), [10.0, 0.0, 0.0])
    assert type(turn.inverse()) is Rigid


def test_a_mirror_is_no_alignment_and_a_stretch_is_not_rigid() -> None:
    with pytest.raises(ValueError, match="mirrors"):
        Affine(np.diag([-1.0, 1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="not a rotation"):
        Rigid(np.diag([1.1, 1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="last row"):
        Affine(np.ones((4, 4)))


def test_a_field_is_trilinear_between_its_points_and_goes_on_with_its_edge() -> None:
    grid = Geometry(np.diag([2.0, 3.0, 4.0, 1.0])[[2, 1, 0, 3]], (4, 5, 6))
    positions = grid.positions(np.moveaxis(np.indices(grid.shape), 0, -1))
    slope = np.array([[0.1, 0.0, 0.2], [0.0, -0.1, 0.0], [0.05, 0.0, 0.1]])
    field = DisplacementField(np.moveaxis(positions @ slope, -1, 0).astype(np.float32), grid)
    between = np.array([[3.3, 4.4, 5.1], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(field.moving_positions(between), between + between @ slope, atol=1e-5)
    beyond = np.array([-50.0, 0.0, 0.0])
    np.testing.assert_allclose(field.moving_positions(beyond), beyond, atol=1e-5)
