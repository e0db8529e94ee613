import itertools

import numpy as np
import pytest
from highdicom.color import CIELabColor

from operators.dicom.results.segmentation.colors import CLEARLY_DIFFERENT, NUM_COLORS, segment_colors
from operators.dicom.results.segmentation.extents import Extent, extent_of
from operators.domain.concepts import SEGMENTS

ONE_VOXEL = extent_of(np.ones((1, 1, 1), bool))


def boxes(corners: np.ndarray, size: int, shape: tuple[int, int, int]) -> list[Extent]:
    extents = []
    for corner in corners:
        mask = np.zeros(shape, bool)
        mask[tuple(slice(start, start + size) for start in corner)] = True
        extents.append(extent_of(mask))
    return extents


def differences(colors: list[tuple[float, float, float]]) -> np.ndarray:
    """CIE 1976: the distance in L*a*b*."""
    lab = np.array(colors)
    return np.linalg.norm(lab[:, None] - lab, axis=-1)


@pytest.mark.parametrize("count", [2, 20, 100])
def test_blocks_that_touch_are_told_apart(count):
    """Packed like bricks, each block touches up to 26 others: those whose corners lie at most one block away."""
    places = np.array(list(itertools.product(range(4), range(5), range(5))))[:count]
    colors = segment_colors(boxes(2 * places, 2, (8, 10, 10)), ["other"] * count)
    touching = (np.abs(places[:, None] - places) <= 1).all(axis=-1) & ~np.eye(count, dtype=bool)
    assert differences(colors)[touching].min() >= CLEARLY_DIFFERENT
    assert len(set(colors)) == count


def test_even_a_hundred_segments_in_one_place_all_differ():
    colors = segment_colors([ONE_VOXEL] * 100, ["other"] * 100)
    assert (differences(colors) + 99 * np.eye(100)).min() > 15


def test_colours_come_again_only_when_all_are_used():
    colors = segment_colors([ONE_VOXEL] * (NUM_COLORS + 1), ["other"] * (NUM_COLORS + 1))
    assert len(set(colors[:NUM_COLORS])) == NUM_COLORS


def test_a_known_organ_has_its_own_colour_but_not_beside_itself():
    lung = SEGMENTS["lung"][1].value
    apart = boxes(np.array([[0, 0, 0], [0, 0, 6], [0, 0, 4]]), 2, (2, 2, 8))
    first, second, _ = segment_colors(apart, [lung, lung, "other"])
    assert first == second == segment_colors(apart[:1], [lung])[0]
    together = boxes(np.array([[0, 0, 0], [0, 0, 2]]), 2, (2, 2, 8))
    first, second = segment_colors(together, [lung, lung])
    assert np.linalg.norm(np.subtract(first, second)) >= CLEARLY_DIFFERENT


def test_colours_survive_the_encoding():
    """Recommended Display CIELab Value holds 16 bits a channel (PS3.3 C.10.7.1.1)."""
    colors = segment_colors([ONE_VOXEL] * NUM_COLORS, ["other"] * NUM_COLORS)
    for color in colors:
        np.testing.assert_allclose(CIELabColor(*color).lab, color, atol=0.01)
