"""Boxes and ellipsoids on turned, stretched grids: their lengths are formulas."""

import numpy as np
import pytest

from operators.domain.concepts import Code
from operators.domain.geometry import Geometry
from operators.domain.segment import Segment, SeriesSegments
from operators.heads.measurements import longest_diameter_mm, measure, slice_axes_mm
from phantoms import BODIES, OBLIQUE, SeriesSpec, grid_positions, phantom_mask

SPACING = np.array([3.0, 1.5, 0.7])
GRID = SeriesSpec(
    row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], pixel_spacing=(1.5, 0.7), slice_spacing=3.0, shape=(20, 48, 80)
).geometry
CODE = Code("4147007", "SCT", "Mass")


def box(*sizes: int) -> np.ndarray:
    mask = np.zeros(GRID.shape, bool)
    mask[tuple(slice(2, 2 + size) for size in sizes)] = True
    return mask


@pytest.mark.parametrize("sizes", [(1, 1, 1), (4, 1, 9), (3, 7, 5), (6, 2, 30)])
def test_a_box_is_as_long_as_its_diagonal(sizes):
    edges = np.array(sizes) * SPACING
    assert longest_diameter_mm(box(*sizes), GRID) == pytest.approx(np.linalg.norm(edges))
    long, short = slice_axes_mm(box(*sizes)[2], SPACING[1:])
    assert long == pytest.approx(np.linalg.norm(edges[1:]))
    # the line through the middle at right angles to the diagonal reaches the longer sides
    assert short == pytest.approx(edges[1:].min() / edges[1:].max() * long)


@pytest.mark.parametrize("degrees", [0, 30, 75, 120])
def test_an_ellipse_has_its_two_axes_whichever_way_it_lies(degrees):
    spacing, radii, turn = np.array([0.8, 0.5]), np.array([31.0, 12.0]), np.deg2rad(degrees)
    places = (np.stack(np.indices((100, 160)), axis=-1) - [50, 80]) * spacing
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    mask = (((places @ matrix.T) / radii) ** 2).sum(axis=-1) <= 1
    long, short = slice_axes_mm(mask, spacing)
    pixel = np.linalg.norm(spacing)
    assert 2 * radii[0] - pixel <= long <= 2 * radii[0] + pixel
    assert 2 * radii[1] - pixel <= short <= 2 * radii[1] + pixel


@pytest.mark.parametrize("body", ["lung", "bone", "mass"])
def test_an_ellipsoid_is_as_long_as_its_longest_axis(body):
    longest = 2 * max(BODIES[body][1])
    voxel = np.linalg.norm(GRID.spacing)
    assert longest - voxel <= longest_diameter_mm(phantom_mask(grid_positions(GRID), body), GRID) <= longest + voxel


def test_a_hollow_in_the_mask_does_not_shorten_it():
    mask = box(3, 9, 9)
    mask[:, 4:9, 4:9] = False
    assert longest_diameter_mm(mask, GRID) == longest_diameter_mm(box(3, 9, 9), GRID)
    assert slice_axes_mm(mask[2], SPACING[1:]) == slice_axes_mm(box(3, 9, 9)[2], SPACING[1:])


def test_findings_have_diameters_and_organs_a_volume():
    masks = {"organ": box(2, 3, 4), "finding": box(4, 3, 2)}
    masks["finding"][3, :9, :9] = True
    segments = tuple(
        Segment(number, name, CODE, CODE, "head", name, f"2.25.{number}", mask, "mass" if name == "finding" else None)
        for number, (name, mask) in enumerate(masks.items(), start=1)
    )
    found = measure(SeriesSegments("1.2", Geometry(GRID.affine, GRID.shape), segments))
    assert [(item.segment_number, item.code.meaning, item.unit.value) for item in found] == [
        (1, "Volume", "mL"),
        (2, "Volume", "mL"),
        (2, "Long axis", "mm"),
        (2, "Short axis", "mm"),
        (2, "Maximum 3D Diameter of a Mesh", "mm"),
    ]
    assert found[0].value == pytest.approx(24 * SPACING.prod() / 1000)
    # on the slice with most of it
    assert found[2].value == pytest.approx(np.linalg.norm(9 * SPACING[1:]))
