import numpy as np

from operators.dicom.results.segmentation.extents import extent_of, touching


def test_extent_of_two_far_voxels():
    mask = np.zeros((9, 8, 7), bool)
    mask[2, 5, 1] = mask[6, 3, 4] = True
    extent = extent_of(mask)
    assert extent.slices.tolist() == [2, 6]
    assert extent.box == (slice(2, 7), slice(3, 6), slice(1, 5))


def test_an_empty_mask_has_an_empty_extent():
    extent = extent_of(np.zeros((3, 4, 5), bool))
    assert (extent.slices.size, extent.box) == (0, (slice(0, 0),) * 3)


def test_boxes_touch_by_a_corner_and_not_across_a_gap():
    masks = np.zeros((3, 1, 6, 6), bool)
    masks[0, 0, :2, :2] = masks[1, 0, 2:4, 2:4] = masks[2, 0, 5, 4:] = True
    expected = [[True, True, False], [True, True, False], [False, False, True]]
    np.testing.assert_array_equal(touching([extent_of(mask) for mask in masks]), expected)
