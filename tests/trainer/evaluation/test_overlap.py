import numpy as np
import pytest

from trainer.evaluation.overlap import best_threshold, dice, hd95


def test_dice_of_known_masks() -> None:
    first, second = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(first, second) == pytest.approx(2 / 5)
    assert dice(first & ~first, second & ~second) == 1.0


def test_the_best_threshold_parts_the_covered_from_the_others() -> None:
    scores = np.array([-2.0, -0.5, 0.5, 2.0], np.float32)
    assert best_threshold(scores, scores > 0, (-3.0, 0.0, 1.0)) == 0.0


def test_borders_of_a_square_that_was_moved_are_as_far_apart_as_it_was_moved() -> None:
    """Three voxels of 2 mm along the rows; a voxel far away is within the 5 % that are left out."""
    square = np.zeros((1, 40, 40), bool)
    square[0, 5:25, 5:25] = True
    spacing = np.array([5.0, 2.0, 1.0])
    assert hd95(square, np.roll(square, 3, axis=1), spacing) == 6.0
    assert hd95(square, square, spacing) == 0.0
    far = square.copy()
    far[0, 39, 39] = True
    assert hd95(square, far, spacing) == 0.0
    assert np.isnan(hd95(square, square & ~square, spacing))
