import numpy as np
import pytest

from operators.domain.transform import Affine, Rigid

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
