"""What was drawn on a resampled volume lies on the slices where the phantom has it."""

from dataclasses import replace

import numpy as np
import pytest

from operators.dicom.volumes.slice_masks import on_slices, values_on_slice
from phantoms import SeriesSpec, build_source_series, phantom_value
from result_cases import LABELS, build_case
from stack_cases import STACKS, VOXEL_MM, body_on_planes, on_planes, read_stack


@pytest.fixture(scope="module", params=STACKS)
def case(request):
    return build_case(read_stack(request.param))


@pytest.mark.parametrize("body", LABELS.values())
def test_a_mask_lies_on_the_slices_where_the_body_is(case, body):
    source = case.source
    number = list(LABELS.values()).index(body)
    drawn = on_slices(case.segments, source).segments[number].mask
    assert drawn.shape == (24, 60, 80)
    assert drawn[body_on_planes(source, body, -VOXEL_MM)].all()
    assert not drawn[~body_on_planes(source, body, VOXEL_MM)].any()
    places, inside = on_planes(source, lambda positions: positions), body_on_planes(source, body, 0.0)
    np.testing.assert_allclose(places[drawn].mean(axis=0), places[inside].mean(axis=0), atol=0.25)


def test_probabilities_go_along(case):
    for drawn, segment in zip(on_slices(case.segments, case.source).segments, case.segments.segments, strict=True):
        assert drawn.probability.dtype == np.uint8
        assert drawn.probability.max() >= 0.9 * segment.probability.max()
        # One half on the surface: that is where the mask ends.
        assert np.mean((drawn.probability >= 128) == drawn.mask) > 0.99


def test_what_the_volume_shows_in_a_slice_is_what_the_slice_was(case):
    source = case.source
    expected = on_planes(source, phantom_value)
    shown = np.stack([values_on_slice(source, k) for k in range(len(source.headers))])
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.97


def test_a_mask_between_two_slices_is_drawn_on_the_nearer_one():
    source = read_stack("uneven")
    thin = np.zeros(source.volume.geometry.shape, bool)
    # The thick slices are 3.5 mm apart, the planes of the volume less than half of that.
    plane = int(np.floor(source.volume.geometry.indices(source.slice_planes[20].positions(np.zeros(3)))[0])) + 1
    thin[plane, 20:24, 30:36] = True
    case = build_case(source)
    segment = replace(case.segments.segments[0], mask=thin, probability=None)
    (drawn,) = on_slices(replace(case.segments, segments=(segment,)), source).segments
    assert np.argwhere(drawn.mask.any(axis=(1, 2))).size == 1
    assert drawn.mask.sum() == thin.sum()


def test_masks_of_a_volume_of_the_slices_themselves_stay_as_they_are():
    case = build_case(build_source_series(SeriesSpec()))
    assert on_slices(case.segments, case.source) is case.segments
    assert values_on_slice(case.source, 3).base is case.source.volume.array
