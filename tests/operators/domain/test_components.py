import numpy as np
import pytest

from operators.domain.components import components_at, largest_component, without_small_components

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
