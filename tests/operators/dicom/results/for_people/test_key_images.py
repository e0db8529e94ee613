from dataclasses import replace

import numpy as np
import pytest

from companion_cases import case_key_images
from conformance_matrix import SOURCES
from phantoms import BODIES, SeriesSpec, build_source_series, phantom_mask
from result_cases import GEOMETRIES, build_case, negative


@pytest.mark.parametrize("name", [*(f"CT {name}" for name in GEOMETRIES), "MR enhanced, oblique"])
def test_the_slice_is_the_nearest_to_the_place_and_the_outline_lies_round_it(name):
    case = SOURCES[name]()
    (image,) = case_key_images(case)
    geometry, centre = case.source.volume.geometry, np.array(BODIES["mass"][0])
    origins = geometry.positions(np.arange(geometry.shape[0])[:, None] * np.array([1, 0, 0]))
    distances = np.abs((origins - centre) @ geometry.directions[:, 0])
    assert image.slice_index == np.argmin(distances)
    column, row = image.point
    np.testing.assert_allclose(
        geometry.positions(np.array([image.slice_index, row - 0.5, column - 0.5])), centre, atol=geometry.spacing[0]
    )
    # Just inside every vertex lies mass, just outside none: (0.5, 0.5) is the centre of the first pixel.
    columns, rows = (image.outline - 0.5).T
    edge = geometry.positions(np.stack([np.full(len(rows), image.slice_index), rows, columns], axis=-1))
    assert phantom_mask(centre + 0.75 * (edge - centre), "mass").all()
    assert not phantom_mask(centre + 1.25 * (edge - centre), "mass").any()


def test_only_present_findings_with_a_place_have_one():
    case = build_case(build_source_series(SeriesSpec()))
    assert [image.finding.name for image in case_key_images(case)] == ["soft-tissue mass"]
    assert case_key_images(negative(case)) == ()
    absent_with_a_place = replace(case.findings[0], present=False)
    assert case_key_images(replace(case, findings=(absent_with_a_place,))) == ()


def test_a_place_without_a_mask_has_a_point_only():
    case = build_case(build_source_series(SeriesSpec()))
    (image,) = case_key_images(replace(case, segments=replace(case.segments, segments=())))
    assert image.outline is None
