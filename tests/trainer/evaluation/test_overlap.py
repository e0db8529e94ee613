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


def test_the_best_threshold_is_the_middle_of_those_with_the_largest_dice() -> None:
    """Against each threshold by itself; some scores equal a threshold."""
    rng = np.random.default_rng(1)
    thresholds = tuple(np.arange(-1.0, 1.0, 0.125).tolist())
    for share in (0.0, 0.02, 0.5):
        true = rng.random((50, 16)) < share
        scores = (np.round(rng.normal(size=true.shape) * 8) / 16 + 0.3 * true).astype(np.float32)
        agreements = [dice(scores > threshold, true) for threshold in thresholds]
        best = [threshold for threshold, found in zip(thresholds, agreements, strict=True) if found == max(agreements)]
        assert best_threshold(scores, true, thresholds) == best[len(best) // 2]


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


def test_borders_are_as_far_apart_as_the_nearest_of_all_their_voxels() -> None:
    """Against every distance between border voxels, one by one; masks that touch the image's edge among them."""
    rng = np.random.default_rng(0)
    spacing = np.array([3.0, 0.7, 1.1])
    for first, second in (rng.random((2, 2, 4, 12, 9)) < 0.1).transpose(1, 0, 2, 3, 4):
        first[1, :5, :4] = True
        places = [np.argwhere(mask & ~eroded(mask)) * spacing for mask in (first, second)]
        distances = np.linalg.norm(places[0][:, None] - places[1][None], axis=2)
        expected = max(np.percentile(distances.min(axis=axis), 95) for axis in (0, 1))
        assert hd95(first, second, spacing) == pytest.approx(expected)


def eroded(mask: np.ndarray) -> np.ndarray:
    """Voxels whose six neighbours are all in the mask; beyond the edge nothing is."""
    padded = np.pad(mask, 1)
    shifted = [np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1] for axis in range(3) for step in (-1, 1)]
    return mask & np.logical_and.reduce(shifted)
