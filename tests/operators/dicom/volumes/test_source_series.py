"""What a series that was read still knows of the slices it was made of."""

from dataclasses import replace

import numpy as np
import pytest

from operators.domain.volume import Volume
from phantoms import OBLIQUE, SeriesSpec, build_source_series
from stack_cases import STACKS, read_stack

SPEC = SeriesSpec(shape=(6, 8, 10), row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1])


def test_each_slice_has_its_plane():
    source = build_source_series(SPEC)
    for k, plane in enumerate(source.slice_planes):
        assert plane.shape == (1, 8, 10)
        assert plane.frame_of_reference_uid == SPEC.uid("frame of reference")
        for pixel in ((0, 0), (7, 9)):
            expected = SPEC.geometry.positions(np.array([k, *pixel]))
            np.testing.assert_allclose(plane.positions(np.array([0, *pixel])), expected, atol=1e-5)


def test_every_plane_of_a_finer_volume_names_the_slice_nearest_to_it():
    source = build_source_series(SPEC)
    fine = source.volume.geometry.rescaled((12, 8, 10))
    source = replace(source, volume=Volume(np.zeros(fine.shape, np.float32), fine))
    uids = source.sop_instance_uids
    assert source.nearest_instance_uids == tuple(uid for uid in uids for _ in range(2))


@pytest.mark.parametrize("name", STACKS)
def test_a_place_is_found_again_on_the_slice_that_it_was_taken_from(name):
    source = read_stack(name)
    for k in (0, 9, len(source.headers) - 1):
        position = source.slice_planes[k].positions(np.array([0, 20, 31]))
        found, row, column = source.on_nearest_slice(position)
        assert found == k
        np.testing.assert_allclose((row, column), (20, 31), atol=1e-6)
