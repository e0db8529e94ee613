import numpy as np
import pytest

from operators.domain.components import (
    components_at,
    largest_component,
    without_small_components,
    without_small_holes,
)

BLOBS = np.zeros((4, 6, 6), bool)
BLOBS[0, :2, :2] = True  # four voxels
BLOBS[2:, 3:6, 3:5] = True  # twelve
BLOBS[1, 2, 2] = True  # one, which touches the four at a corner


def test_components_under_a_size_go_and_those_of_that_size_stay():
    kept = without_small_components(BLOBS, 4)
    assert kept.sum() == 16
    assert not kept[1].any()
    np.testing.assert_array_equal(without_small_components(BLOBS, 1), BLOBS)
    np.testing.assert_array_equal(without_small_components(BLOBS, 0), BLOBS)


def test_the_largest_component_stays_alone():
    np.testing.assert_array_equal(largest_component(BLOBS), without_small_components(BLOBS, 5))


def test_a_component_stays_where_it_reaches_into_a_box():
    corner, beside = (slice(0, 1), slice(1, 3), slice(1, 3)), (slice(1, 2), slice(4, 6), slice(0, 6))
    np.testing.assert_array_equal(components_at(BLOBS, [corner]).sum(axis=(1, 2)), [4, 0, 0, 0])
    assert not components_at(BLOBS, [beside]).any()
    whole = (slice(None),) * 3
    np.testing.assert_array_equal(components_at(BLOBS, [beside, whole]), BLOBS)


@pytest.mark.parametrize("mask", [np.zeros((3, 3), bool), np.zeros((2, 3, 3), bool)])
def test_an_empty_mask_stays_empty(mask):
    assert not largest_component(mask).any()
    assert not without_small_components(mask, 0).any()
    assert not without_small_holes(mask, 100).any()


def test_holes_under_a_size_are_filled_and_others_stay():
    block = np.ones((5, 7, 7), bool)
    block[[0, -1]] = block[:, [0, -1]] = block[:, :, [0, -1]] = False
    holed = block.copy()
    holed[2, 2:4, 2] = holed[2, 4, 4] = False  # two voxels and one, inside
    filled = without_small_holes(holed, 2)
    np.testing.assert_array_equal(np.argwhere(block & ~filled), [[2, 2, 2], [2, 3, 2]])
    np.testing.assert_array_equal(without_small_holes(holed, 3), block)
    open_to_the_outside = block.copy()
    open_to_the_outside[:3, 3, 3] = False
    np.testing.assert_array_equal(without_small_holes(open_to_the_outside, 1000), open_to_the_outside)


def test_the_edge_of_the_array_closes_a_hole():
    ring = np.ones((1, 5, 6), bool)
    ring[0, 2, 2:4] = False  # a hole of the slice
    ring[0, 0, 0] = False  # a corner that the mask cuts off
    ring[0, :, 5] = False  # goes on outside of the mask's bounding box
    filled = without_small_holes(ring, 3)
    np.testing.assert_array_equal(filled[0, :, :5], True)
    assert not filled[0, :, 5].any()
