import numpy as np
import pytest

from trainer.evaluation.overlap import best_threshold, dice


def test_dice_of_known_masks() -> None:
    first, second = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(first, second) == pytest.approx(2 / 5)
    assert dice(first & ~first, second & ~second) == 1.0


def test_the_best_threshold_parts_the_covered_from_the_others() -> None:
    scores = np.array([-2.0, -0.5, 0.5, 2.0], np.float32)
    assert best_threshold(scores, scores > 0, (-3.0, 0.0, 1.0)) == 0.0
