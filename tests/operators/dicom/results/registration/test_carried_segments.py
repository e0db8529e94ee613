"""The phantom's bodies, segmented on the prior, must lie on the same bodies today; their places are formulas."""

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import RTStructureSetStorage

from operators.dicom.results.registration.carried_segments import HEAD, carry_segments
from operators.dicom.results.registration.prior_objects import read_prior_segments
from operators.dicom.results.segmentation.object import build_segmentation
from operators.domain.finding import Algorithm
from operators.domain.transform import Affine, DisplacementField, Rigid
from operators.errors import UnsupportedPixelDataError
from phantoms import OBLIQUE, SeriesSpec, build_source_series, grid_positions, phantom_mask
from result_cases import RUN, build_case, dciodvfy, save

MOTION = np.array([[0.96, -0.28, 0.0, 4.0], [0.28, 0.96, 0.0, -3.0], [0.0, 0.0, 1.0, 5.0], [0.0, 0.0, 0.0, 1.0]])
"""Today to the prior."""
PRIOR = SeriesSpec(study="prior", shape=(30, 70, 90), pixel_spacing=(1.3, 1.0), slice_spacing=2.5)
TODAY = SeriesSpec(row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], shape=(30, 64, 80), pixel_spacing=(1.2, 0.9))
CARRYING = replace(RUN, heads={**RUN.heads, HEAD: Algorithm(HEAD, "1", "9" * 64)})


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def truth(body: str) -> NDArray[np.bool_]:
    positions = grid_positions(TODAY.geometry)
    return phantom_mask(positions @ MOTION[:3, :3].T + MOTION[:3, 3], body)


@pytest.mark.parametrize("segmentation_type", ["BINARY", "LABELMAP"])
def test_segments_lie_on_the_same_bodies_today_with_their_codes_and_tracking_uids(segmentation_type: str) -> None:
    case = build_case(build_source_series(PRIOR))
    prior = read_prior_segments(case.segmentation(segmentation_type), case.source)
    carried = carry_segments(prior, Rigid(MOTION), build_source_series(TODAY))
    assert len(carried.segments) == 3
    for before, after in zip(case.segments.segments, carried.segments, strict=True):
        assert (after.category, after.type, after.tracking_uid) == (before.category, before.type, before.tracking_uid)
        assert (after.label, after.tracking_id) == (before.label, before.tracking_id)
        body = {"lung": "lung", "bone": "bone", "soft-tissue mass": "mass"}[after.label]
        assert dice(after.mask, truth(body)) > 0.9


def test_a_field_carries_as_its_matrix_does() -> None:
    case = build_case(build_source_series(PRIOR))
    prior = read_prior_segments(case.segmentation(), case.source)
    grid = TODAY.geometry.rescaled((10, 20, 20))
    positions = grid_positions(grid)
    moved = positions @ MOTION[:3, :3].T + MOTION[:3, 3] - positions
    field = DisplacementField(np.moveaxis(moved, -1, 0).astype(np.float32), grid)
    today = build_source_series(TODAY)
    by_field, by_matrix = (carry_segments(prior, transform, today) for transform in (field, Affine(MOTION)))
    for one, other in zip(by_field.segments, by_matrix.segments, strict=True):
        assert dice(one.mask, other.mask) > 0.97  # the field stops half of its own voxel inside the grid's border


def test_the_segmentation_names_the_prior_and_claims_no_finding(tmp_path: Path) -> None:
    case = build_case(build_source_series(PRIOR))
    segmentation = case.segmentation()
    today = build_source_series(TODAY)
    carried = carry_segments(read_prior_segments(segmentation, case.source), Rigid(MOTION), today)
    dataset = build_segmentation(today, carried, run=CARRYING, carried_from=[segmentation])
    path = save(dataset, tmp_path)
    assert dciodvfy(path)[0] == []
    written = dcmread(path)
    (source,) = written.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
    (study,) = written.StudiesContainingOtherReferencedInstancesSequence
    assert study.StudyInstanceUID == PRIOR.uid("study")
    assert "prior segments" in written.SeriesDescription
    for item in written.SegmentSequence:
        assert "no new finding" in item.SegmentDescription
        assert f"head={HEAD}" in item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    mine = build_segmentation(today, carried, run=CARRYING)
    assert written.SeriesInstanceUID != mine.SeriesInstanceUID
    assert hd.seg.Segmentation.from_dataset(written).number_of_segments == 3


def structure_set(corners: list[list[tuple[float, float]]], height: float) -> Dataset:
    """One ROI of closed contours in an axial plane."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, "1.2.3"
    roi, contours = Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = 4, "GTV"
    contours.ReferencedROINumber, contours.ContourSequence = 4, []
    for outline in corners:
        contour = Dataset()
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.ContourData = [value for x, y in outline for value in (x, y, height)]
        contours.ContourSequence.append(contour)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [roi], [contours]
    return dataset


def test_contours_are_filled_with_their_holes() -> None:
    spec = SeriesSpec(shape=(3, 40, 50), pixel_spacing=(1.0, 1.0), slice_spacing=2.0, centre_lps_mm=(0.0, 0.0, 0.0))
    square = [(-10.25, -8.25), (9.75, -8.25), (9.75, 7.75), (-10.25, 7.75)]
    hole = [(-2.25, -2.25), (1.75, -2.25), (1.75, 1.75), (-2.25, 1.75)]
    (segment,) = read_prior_segments(structure_set([square, hole], 0.0), build_source_series(spec))
    assert segment.label == "GTV"
    assert segment.mask.sum() == 20 * 16 - 4 * 4
    assert segment.mask[1].sum() == segment.mask.sum()
    places = segment.geometry.positions(np.argwhere(segment.mask))
    np.testing.assert_allclose(places.mean(axis=0), [-0.25, -0.25, 0.0], atol=0.3)


def test_what_lies_outside_today_is_left_out() -> None:
    case = build_case(build_source_series(PRIOR))
    away = np.eye(4)
    away[:3, 3] = (300.0, 0.0, 0.0)
    prior = read_prior_segments(case.segmentation(), case.source)
    assert carry_segments(prior, Rigid(away), build_source_series(TODAY)).segments == ()


def test_another_object_is_refused_by_name() -> None:
    case = build_case(build_source_series(PRIOR))
    with pytest.raises(UnsupportedPixelDataError, match="expected a Segmentation or an RT Structure Set"):
        read_prior_segments(case.report(), case.source)
