"""Regions cut from maps whose level sets are known."""

import numpy as np
import pytest

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.prompted_region import region_at

SOURCE = Geometry(np.diag([2.0, 1.0, 1.0, 1.0]), (6, 64, 64), "")
TOKENS = SOURCE.rescaled((6, 8, 8))


def tokens_where(*high: tuple[int, int, int]) -> Volume:
    array = np.zeros(TOKENS.shape, np.float32)
    for index in high:
        array[index] = 1.0
    return Volume(array, TOKENS)


def whole(similarity: Volume, threshold: float, *seeds: tuple[int, int, int]) -> np.ndarray:
    """The region on all of the source."""
    mask = np.zeros(SOURCE.shape, bool)
    found = region_at(similarity, threshold, seeds, SOURCE)
    if found is not None:
        start, region = found
        mask[tuple(slice(a, a + size) for a, size in zip(start, region.shape, strict=True))] = region
    return mask


def test_a_plane_of_growing_similarity_is_cut_where_it_crosses_the_threshold() -> None:
    columns = np.broadcast_to(np.linspace(0, 1, 8, dtype=np.float32), TOKENS.shape)
    mask = whole(Volume(columns.copy(), TOKENS), 0.55, (2, 4, 7))
    # Token k lies at 8 k + 3.5 voxels and has k / 7: 0.55 is crossed at 8 * 3.85 + 3.5 = 34.3.
    expected = np.zeros(SOURCE.shape, bool)
    expected[:, :, 35:] = True
    np.testing.assert_array_equal(mask, expected)


def test_only_what_hangs_together_with_the_point_is_taken() -> None:
    similarity = tokens_where((1, 1, 1), (1, 1, 2), (1, 6, 6))
    near, far = whole(similarity, 0.5, (1, 1, 1)), whole(similarity, 0.5, (1, 6, 6))
    assert near[1, 11, 20]
    assert not near[1, 51, 51]
    assert far[1, 51, 51]
    np.testing.assert_array_equal(whole(similarity, 0.5, (1, 1, 1), (1, 6, 6)), near | far)


def test_the_small_box_holds_what_the_whole_grid_would() -> None:
    array = np.random.default_rng(0).random(TOKENS.shape).astype(np.float32) ** 4
    array[3, 4, 4] = 1.0
    similarity = Volume(array, TOKENS)
    mask = whole(similarity, 0.3, (3, 4, 4))
    padded = array.copy()
    padded[0, 0, 0] = padded[-1, -1, -1] = 1.0  # makes the box that is looked at all of the source
    other = whole(Volume(padded, TOKENS), 0.3, (3, 4, 4))
    assert mask[3, 36, 36]
    untouched = np.ones_like(mask)
    untouched[:2, :20, :20] = untouched[-2:, -20:, -20:] = False
    np.testing.assert_array_equal(mask[untouched], other[untouched])


def test_nothing_above_the_threshold_at_the_point_is_no_region() -> None:
    similarity = tokens_where((1, 1, 1))
    assert region_at(similarity, 0.5, [(4, 6, 6)], SOURCE) is None
    assert region_at(similarity, 1.5, [(1, 1, 1)], SOURCE) is None


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_the_region_lies_in_the_smallest_box(threshold: float) -> None:
    found = region_at(tokens_where((2, 3, 3)), threshold, [(2, 3, 3)], SOURCE)
    assert found is not None
    _, region = found
    for axes in ((1, 2), (0, 2), (0, 1)):
        filled = region.any(axis=axes)
        assert filled[0]
        assert filled[-1]
