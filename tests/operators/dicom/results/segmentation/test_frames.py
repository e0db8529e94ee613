from collections.abc import Iterable

import numpy as np
import pytest

from operators.dicom.results.segmentation.extents import Extent, extent_of
from operators.dicom.results.segmentation.frames import (
    binary_frames,
    fractional_frames,
    hidden_voxels,
    label_map,
    label_map_frames,
)


def extents(masks: Iterable[np.ndarray]) -> list[Extent]:
    return [extent_of(mask) for mask in masks]


def packed(bits: np.ndarray) -> bytes:
    """PS3.5 8.1.1 in integers: the first pixel is the least significant bit, the length is even."""
    number = sum(1 << place for place in np.flatnonzero(bits.ravel()).tolist())
    size = (bits.size + 7) // 8
    return number.to_bytes(size + size % 2, "little")


@pytest.mark.parametrize("shape", [(5, 4, 8), (5, 3, 7), (1, 1, 1), (4, 1, 9)])
def test_bits_run_on_from_frame_to_frame_and_segment_to_segment(shape):
    rng = np.random.default_rng(1)
    masks = [rng.random(shape) < 0.4 for _ in range(3)]
    masks[1][shape[0] // 2 + 1 :] = False  # a block that ends early
    masks[2][1 : shape[0] - 1] = False  # and one with a gap
    for mask in masks:
        mask[0, 0, 0] = True
    frames = binary_frames(masks, extents(masks))
    expected = [[k for k in range(shape[0]) if mask[k].any()] for mask in masks]
    assert [slices.tolist() for slices in frames.slices] == expected
    assert frames.num_frames == sum(map(len, expected))
    stored = np.concatenate([mask[slices] for mask, slices in zip(masks, expected, strict=True)])
    assert frames.pixels == packed(stored)


@pytest.mark.parametrize(("second", "overlap"), [((0, 1, 1), "YES"), ((0, 1, 2), "NO"), ((1, 1, 1), "NO")])
def test_masks_overlap_where_they_share_a_voxel(second, overlap):
    masks = np.zeros((2, 2, 3, 3), bool)
    masks[0, 0, 1, 1] = True
    masks[(1, *second)] = True
    assert binary_frames(masks, extents(masks)).segments_overlap == overlap


def test_probabilities_are_stored_as_they_are():
    probability = np.zeros((4, 3, 3), np.uint8)
    probability[1, 2, 0], probability[3, 0, 1] = 255, 1
    frames = fractional_frames([probability, np.zeros_like(probability)])
    assert [slices.tolist() for slices in frames.slices] == [[1, 3], []]
    assert frames.pixels == probability[[1, 3]].tobytes()
    assert frames.segments_overlap == "UNDEFINED"
    assert fractional_frames([probability]).segments_overlap == "NO"


def test_of_overlapping_masks_the_last_is_on_the_label_map():
    masks = np.zeros((3, 3, 1, 5), bool)
    masks[0, :2, 0, 1:4] = True
    masks[1, 1, 0, 3:] = True
    masks[2, 1, 0, 4] = True
    labels = label_map(masks, extents(masks))
    np.testing.assert_array_equal(labels[:, 0], [[0, 1, 1, 1, 0], [0, 1, 1, 2, 3], [0, 0, 0, 0, 0]])
    assert hidden_voxels(masks, extents(masks), labels) == (1, 1, 0)
    frames = label_map_frames(labels)
    assert (frames.slices[0].tolist(), frames.segments_overlap) == ([0, 1], "NO")
    assert frames.pixels == bytes([0, 1, 1, 1, 0, 0, 1, 1, 2, 3])


def test_more_labels_than_a_byte_holds_take_two():
    masks = list(np.eye(300, dtype=bool).reshape(300, 1, 1, 300))
    assert label_map_frames(label_map(masks, extents(masks))).pixels == np.arange(1, 301, dtype="<u2").tobytes()


def test_an_odd_number_of_bytes_is_padded():
    assert label_map_frames(np.ones((1, 1, 3), np.uint8)).pixels == b"\1\1\1\0"
