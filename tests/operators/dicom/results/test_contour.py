import numpy as np
import pytest
from scipy import ndimage

from operators.dicom.results.contour import MAX_VERTICES, outline


def _area(points):
    """Shoelace formula; positive when clockwise as seen on the image, whose rows point down."""
    x, y = points[:, 0], points[:, 1]
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def test_a_rectangle_has_its_four_corners_and_closes():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:9] = True
    points = outline(mask)
    assert {tuple(point) for point in points} == {(3, 2), (9, 2), (9, 5), (3, 5)}
    np.testing.assert_array_equal(points[0], points[-1])
    assert _area(points) == 18.0


@pytest.mark.parametrize("seed", range(20))
def test_the_polygon_encloses_the_largest_part_without_holes(seed):
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(40, 30)), 1.2) > 0.02
    labels, count = ndimage.label(mask)
    largest = max((labels == label for label in range(1, count + 1)), key=np.sum)
    points = outline(mask)
    steps = np.diff(points, axis=0)
    assert np.all((steps == 0).sum(axis=1) == 1), "every edge runs along a row or a column"
    assert _area(points) == ndimage.binary_fill_holes(largest).sum()


def test_one_pixel_in_the_corner_of_the_image():
    mask = np.zeros((4, 4), bool)
    mask[3, 3] = True
    assert _area(outline(mask)) == 1.0


def test_a_ragged_outline_is_thinned_to_what_the_element_holds():
    mask = np.zeros((32, 4096), bool)
    mask[16] = True
    mask[:, ::2] = True  # 2048 teeth of 4 vertices on either side
    points = outline(mask)
    assert MAX_VERTICES / 2 < len(points) <= MAX_VERTICES + 1
    np.testing.assert_array_equal(points[0], points[-1])
