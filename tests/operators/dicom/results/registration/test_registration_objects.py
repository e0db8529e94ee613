"""The objects, judged by pydicomrt and dciodvfy, and applied by SimpleITK: they alone give the warped volume."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import Dataset
from pydicomrt.reg.check import check_deformable_reg_iod, check_spatial_reg_iod
from pydicomrt.reg.parser import get_deformable_registrations, get_spatial_registrations
from pydicomrt.reg.type_transform import sitk_displacement_field_to_deformable_registration_grid
from scipy import ndimage

from operators.dicom.results.output_file import write_dataset
from operators.dicom.results.registration.deformable import build_deformable_registration
from operators.dicom.results.registration.spatial import build_spatial_registration
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.geometry import Geometry
from operators.domain.transform import Affine, DisplacementField, Rigid
from operators.domain.volume import Volume
from operators.imaging.warping import warp
from phantoms import OBLIQUE, SeriesSpec, build_source_series, grid_positions, ramp_value
from result_cases import RUN, dciodvfy, save

TODAY = SeriesSpec(row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], shape=(12, 30, 44), pixel_spacing=(2.0, 1.5))
PRIOR = SeriesSpec(study="prior", shape=(30, 70, 80), pixel_spacing=(1.6, 2.1), slice_spacing=2.5)
MOTION = np.array([[0.8, -0.6, 0.0, 6.0], [0.6, 0.8, 0.0, -4.0], [0.0, 0.0, 1.0, 3.0], [0.0, 0.0, 0.0, 1.0]])
STRETCH = MOTION @ np.diag([1.1, 0.9, 1.05, 1.0])


@pytest.fixture(scope="module")
def today() -> SourceSeries:
    return build_source_series(TODAY)


@pytest.fixture(scope="module")
def prior() -> SourceSeries:
    return build_source_series(PRIOR)


def image_of(volume: Volume) -> sitk.Image:
    """In SimpleITK's own terms: x, y, z order."""
    image = sitk.GetImageFromArray(np.asarray(volume.array, np.float32))
    image.SetOrigin([float(x) for x in volume.geometry.affine[:3, 3]])
    image.SetSpacing([float(step) for step in reversed(volume.geometry.spacing)])
    image.SetDirection([float(x) for x in volume.geometry.directions[:, ::-1].ravel()])
    return image


def written(dataset: Dataset, folder: Path, source: SourceSeries) -> Dataset:
    return pydicom.dcmread(write_dataset(dataset, folder, source=source.headers[0]).path)


def field_on(geometry: Geometry, coarse: int) -> DisplacementField:
    """A warp with the motion in it, on a grid of its own, coarser than the series'."""
    grid = geometry.rescaled(tuple(max(2, size // coarse) for size in geometry.shape))
    positions = grid_positions(grid)
    moved = positions @ STRETCH[:3, :3].T + STRETCH[:3, 3] + 4 * np.sin(positions[..., [1, 2, 0]] / 20)
    return DisplacementField(np.moveaxis(moved - positions, -1, 0).astype(np.float32), grid)


@pytest.mark.parametrize("transform", [Rigid(MOTION), Affine(STRETCH)], ids=["rigid", "affine"])
def test_a_matrix_brings_the_prior_into_todays_frame(
    tmp_path: Path, today: SourceSeries, prior: SourceSeries, transform: Affine
) -> None:
    dataset = written(build_spatial_registration(today, prior, transform, run=RUN), tmp_path, today)
    frames = get_spatial_registrations(dataset)[TODAY.geometry.frame_of_reference_uid]
    matrix = np.array(frames[PRIOR.geometry.frame_of_reference_uid], float).reshape(4, 4)
    np.testing.assert_allclose(
        transform.moving_positions(np.eye(3) * 100) @ matrix[:3, :3].T + matrix[:3, 3], np.eye(3) * 100, atol=1e-5
    )
    np.testing.assert_array_equal(frames[TODAY.geometry.frame_of_reference_uid], np.eye(4).ravel())


@pytest.mark.parametrize("transform", [Rigid(MOTION), Affine(STRETCH)], ids=["rigid", "affine"])
def test_simpleitk_resamples_by_the_matrix_what_we_do(
    tmp_path: Path, today: SourceSeries, prior: SourceSeries, transform: Affine
) -> None:
    dataset = written(build_spatial_registration(today, prior, transform, run=RUN), tmp_path, today)
    text = dataset.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    inverse = np.linalg.inv(np.array(text.FrameOfReferenceTransformationMatrix, float).reshape(4, 4))
    resampling = sitk.AffineTransform(inverse[:3, :3].ravel().tolist(), inverse[:3, 3].tolist())
    ramp = Volume(ramp_value(grid_positions(PRIOR.geometry)).astype(np.float32), PRIOR.geometry)
    theirs = sitk.GetArrayFromImage(sitk.Resample(image_of(ramp), image_of(today.volume), resampling, sitk.sitkLinear))
    truth = ramp_value(transform.moving_positions(grid_positions(TODAY.geometry)))
    inside = theirs != 0
    assert inside.mean() > 0.8
    np.testing.assert_allclose(theirs[inside], truth[inside], atol=0.02)


def test_simpleitk_warps_by_the_object_alone_as_we_do(tmp_path: Path, today: SourceSeries, prior: SourceSeries) -> None:
    field = field_on(TODAY.geometry, coarse=2)
    dataset = written(build_deformable_registration(today, prior, field, run=RUN), tmp_path, today)
    warping = displacement_transform(dataset)
    for place in grid_positions(TODAY.geometry)[2:-2:3, 3:-3:7, 4:-4:9].reshape(-1, 3):
        ours = place + nearest_vectors(field, place)
        assert np.linalg.norm(np.array(warping.TransformPoint(place.tolist())) - ours) < 0.01
    ramp = Volume(ramp_value(grid_positions(PRIOR.geometry)).astype(np.float32), PRIOR.geometry)
    theirs = sitk.GetArrayFromImage(sitk.Resample(image_of(ramp), image_of(today.volume), warping, sitk.sitkLinear))
    ours = warp(ramp, field, TODAY.geometry, order=1).array
    inside = np.zeros(theirs.shape, bool)
    inside[1:-1, 1:-1, 1:-1] = theirs[1:-1, 1:-1, 1:-1] != 0
    assert inside.mean() > 0.4
    np.testing.assert_allclose(theirs[inside], ours[inside], atol=0.05)  # the ramp climbs by 2 to 5 for each mm


def displacement_transform(dataset: Dataset) -> sitk.DisplacementFieldTransform:
    """As pydicomrt reads the object."""
    (registration,) = get_deformable_registrations(dataset)
    assert registration["SourceFrameOfReferenceUID"] == PRIOR.geometry.frame_of_reference_uid
    for side in ("Pre", "Post"):
        assert registration[f"{side}DeformationMatrixRegistration"] == np.eye(4).ravel().tolist()
    grid = registration["DeformableRegistrationGrid"]
    image = sitk.GetImageFromArray(grid["VectorGridData"].astype(np.float64), isVector=True)
    row, column = np.array(grid["ImageOrientationPatient"], float).reshape(2, 3)
    image.SetDirection(np.stack([row, column, np.cross(row, column)], axis=1).ravel().tolist())
    image.SetOrigin([float(x) for x in grid["ImagePositionPatient"]])
    image.SetSpacing([float(x) for x in grid["GridResolution"]])
    return sitk.DisplacementFieldTransform(image)


def nearest_vectors(field: DisplacementField, place: NDArray[np.float64]) -> NDArray[np.float64]:
    index = field.geometry.indices(place)[:, None]
    return np.array([ndimage.map_coordinates(part, index, order=1, mode="nearest")[0] for part in field.displacements])


def test_another_writer_would_write_the_same_grid(today: SourceSeries, prior: SourceSeries) -> None:
    field = field_on(TODAY.geometry, coarse=2)
    vectors = image_of(Volume(field.displacements[0], field.geometry))
    image = sitk.GetImageFromArray(np.moveaxis(field.displacements, 0, -1).astype(np.float64), isVector=True)
    image.CopyInformation(vectors)
    theirs = sitk_displacement_field_to_deformable_registration_grid(sitk.DisplacementFieldTransform(image))
    dataset = build_deformable_registration(today, prior, field, run=RUN)
    ours = dataset.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0]
    assert ours.GridDimensions == theirs.GridDimensions
    assert ours.VectorGridData == theirs.VectorGridData
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "GridResolution"):
        np.testing.assert_allclose(np.array(ours[keyword].value, float), np.array(theirs[keyword].value, float))


def test_a_left_handed_grid_is_turned_because_its_third_axis_is_not_told(
    today: SourceSeries, prior: SourceSeries
) -> None:
    field = field_on(TODAY.geometry, coarse=2)
    mirrored = DisplacementField(field.displacements[:, ::-1], field.geometry.flipped(0))
    grids = [
        build_deformable_registration(today, prior, one, run=RUN)
        .DeformableRegistrationSequence[0]
        .DeformableRegistrationGridSequence[0]
        for one in (field, mirrored)
    ]
    assert grids[0].VectorGridData == grids[1].VectorGridData
    np.testing.assert_allclose(grids[0].ImagePositionPatient, grids[1].ImagePositionPatient, atol=1e-6)


def test_the_objects_conform(tmp_path: Path, today: SourceSeries, prior: SourceSeries) -> None:
    spatial = build_spatial_registration(today, prior, Rigid(MOTION), run=RUN)
    deformable = build_deformable_registration(today, prior, field_on(TODAY.geometry, coarse=2), run=RUN)
    for dataset, check in ((spatial, check_spatial_reg_iod), (deformable, check_deformable_reg_iod)):
        assert check(dataset) == {"result": True, "content": []}
        assert dciodvfy(save(dataset, tmp_path))[0] == []
        assert dataset.Modality == "REG"
        assert "research use only" in dataset.SeriesDescription
        assert dataset.PatientID == today.headers[0].PatientID
        assert dataset.FrameOfReferenceUID == TODAY.geometry.frame_of_reference_uid
        assert dataset.StudiesContainingOtherReferencedInstancesSequence[0].StudyInstanceUID == PRIOR.uid("study")
    again = build_spatial_registration(today, prior, Rigid(MOTION), run=RUN)
    assert again.SOPInstanceUID == spatial.SOPInstanceUID


def test_two_series_of_one_frame_are_told_apart_by_their_images(tmp_path: Path, today: SourceSeries) -> None:
    other = build_source_series(replace(TODAY, series="later", series_number=4))
    dataset = build_spatial_registration(today, other, Rigid(MOTION), run=RUN)
    fixed, moving = dataset.RegistrationSequence
    assert "FrameOfReferenceUID" not in fixed
    assert "FrameOfReferenceUID" not in moving
    named = [item.ReferencedSOPInstanceUID for item in moving.ReferencedImageSequence]
    assert named == list(other.sop_instance_uids)
    assert [item.SeriesInstanceUID for item in dataset.ReferencedSeriesSequence] == [
        TODAY.series_instance_uid,
        other.series_instance_uid,
    ]
    assert dciodvfy(save(dataset, tmp_path))[0] == []


def test_a_series_without_a_frame_of_reference_is_refused(today: SourceSeries) -> None:
    lost = replace(
        today, volume=Volume(today.volume.array, Geometry(today.volume.geometry.affine, today.volume.geometry.shape))
    )
    with pytest.raises(ValueError, match="names no frame of reference"):
        build_spatial_registration(lost, today, Rigid(MOTION), run=RUN)
