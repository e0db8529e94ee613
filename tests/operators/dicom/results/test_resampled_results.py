"""SEG and SR of stacks that were resampled lie on the source's own slices, as other people's readers find them."""

import highdicom
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from operators.dicom.volumes.source_series import SourceSeries
from phantoms import BODIES
from result_cases import LABELS, build_case, save, tid1500reader
from stack_cases import STACKS, VOXEL_MM, body_on_planes, read_stack


@pytest.fixture(scope="module", params=STACKS)
def source(request) -> SourceSeries:
    return read_stack(request.param)


def test_a_foreign_reader_finds_each_mask_on_each_image(source: SourceSeries, tmp_path):
    """highdicom puts the frames together by the images that they refer to."""
    read = highdicom.seg.segread(save(build_case(source).segmentation(), tmp_path))
    for number, body in enumerate(LABELS.values(), start=1):
        shown = read.get_pixels_by_source_instance(
            list(source.sop_instance_uids), segment_numbers=[number], assert_missing_frames_are_empty=True
        )[..., 0]
        assert shown[body_on_planes(source, body, -VOXEL_MM)].all()
        assert not shown[~body_on_planes(source, body, VOXEL_MM)].any()


def test_every_frame_says_the_place_of_its_image(source: SourceSeries):
    segmentation = build_case(source).segmentation()
    headers = {header.SOPInstanceUID: header for header in source.headers}
    assert "DimensionOrganizationType" not in segmentation
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.SpatialLocationsPreserved == "YES"
        np.testing.assert_allclose(
            group.PlanePositionSequence[0].ImagePositionPatient,
            headers[image.ReferencedSOPInstanceUID].ImagePositionPatient,
            atol=1e-5,
        )


def test_the_reports_outlines_and_points_lie_on_the_bodies(source: SourceSeries, tmp_path):
    case = build_case(source)
    path = save(case.report([case.segmentation()]), tmp_path)
    assert tid1500reader(path)["Measurements"]
    planes = dict(zip(source.sop_instance_uids, source.slice_planes, strict=True))
    found = {}
    for group in highdicom.sr.srread(path).content.get_volumetric_roi_measurement_groups():
        (region,) = group.roi
        (image,) = [item for item in region.ContentSequence if item.ValueType == "IMAGE"]
        plane = planes[image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
        column, row = np.array(region.value).T - 0.5
        found[group.finding_type.meaning] = plane.positions(np.stack([0 * row, row, column], axis=-1))
    for (label, body), points in zip(LABELS.items(), found.values(), strict=True):
        centre, radii, _ = BODIES[body]
        outside = phantom_surface(np.array(centre), np.array(radii), float(points[:, 2].mean()))
        assert cdist(points, outside).min(axis=1).max() < VOXEL_MM, label


def phantom_surface(centre, radii, height):
    """(N, 3) points of an ellipsoid's section at a height."""
    share = np.sqrt(1 - ((height - centre[2]) / radii[2]) ** 2)
    angles = np.linspace(0, 2 * np.pi, 720)
    x, y = centre[0] + share * radii[0] * np.cos(angles), centre[1] + share * radii[1] * np.sin(angles)
    return np.stack([x, y, np.full_like(x, height)], axis=-1)
