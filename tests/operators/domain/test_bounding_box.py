import numpy as np
import pytest

from operators.domain.bounding_box import bounding_box


@pytest.mark.parametrize(
    ("low", "high"),
    [((0, 0, 0), (4, 5, 6)), ((1, 2, 3), (3, 2, 5)), ((2, 4, 0), (2, 4, 0)), ((0, 3), (2, 1)), ((1,), (3,))],
)
def test_two_corners_span_the_box(low, high):
    mask = np.zeros((5, 6, 7)[: len(low)], bool)
    mask[low] = mask[high] = True
    assert bounding_box(mask) == tuple(slice(min(ends), max(ends) + 1) for ends in zip(low, high, strict=True))


@pytest.mark.parametrize("margin", [0, 1])
def test_the_box_of_nothing_is_empty(margin):
    assert bounding_box(np.zeros((2, 3, 4), bool), margin=margin) == (slice(0, 0),) * 3


def test_a_margin_ends_at_the_array():
    mask = np.zeros((5, 6, 7), bool)
    mask[0, 2:4, 6] = True
    assert bounding_box(mask, margin=1) == (slice(0, 2), slice(1, 5), slice(5, 7))


def test_values_below_nothing_count():
    assert bounding_box(np.array([[0.0, 0.0], [0.0, -1.0]])) == (slice(1, 2), slice(1, 2))
