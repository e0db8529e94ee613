"""Closed-form patients: what was done to them is a formula, and must be found."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from operators.domain.registration import Registration, TransformKind
from operators.domain.transform import DisplacementField, Rigid
from operators.domain.volume import Volume
from operators.registration.alignment import AlignmentSettings, RegistrationInput, align
from support.registration_cases import bent, blob_value, blob_volume, body_points, motion, moved

FAR = motion((18.0, -14.0, 20.0), (30.0, -36.0, 38.0))
"""Turned by some 30 degrees and moved by some 60 mm."""
VOXEL_MM = 4.0


def register(
    fixed: Volume, moving: Volume, kind: TransformKind, modalities: tuple[str, str] = ("CT", "CT")
) -> Registration:
    sides = [RegistrationInput(volume, modality) for volume, modality in zip((fixed, moving), modalities, strict=True)]
    return align(sides[0], sides[1], settings=AlignmentSettings(kind=kind))


def displaced(field: DisplacementField | None, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where SciPy reads that the positions go, independent of our own sampling."""
    assert field is not None
    indices = field.geometry.indices(positions).T
    shifts = [ndimage.map_coordinates(part, indices, order=1, mode="nearest") for part in field.displacements]
    return np.asarray(positions + np.stack(shifts, axis=-1))


def test_equal_images_give_the_identity() -> None:
    volume = blob_volume()
    found = register(volume, volume, "deformable")
    assert (found.verdict, found.kind) == ("good", "rigid")
    assert np.linalg.norm(found.affine.moving_positions(body_points()) - body_points(), axis=1).max() < 0.1
    assert found.quality.edge_agreement_after == pytest.approx(1.0, abs=1e-3)


def test_a_far_rigid_move_is_found() -> None:
    found = register(blob_volume(moved(FAR)), blob_volume(shape=(56, 60, 60)), "rigid")
    assert found.verdict == "good"
    assert isinstance(found.affine, Rigid)
    errors = np.linalg.norm(found.affine.moving_positions(body_points()) - moved(FAR)(body_points()), axis=1)
    assert errors.mean() < 0.15 * VOXEL_MM


def test_a_body_that_lies_beyond_its_own_length_is_searched_for() -> None:
    """110 mm along the slices and turned, which the patient frame does not lead to."""
    away = motion((10.0, 10.0, 10.0), (0.0, 0.0, 110.0))
    found = register(blob_volume(moved(away), shape=(90, 44, 44)), blob_volume(shape=(90, 60, 60)), "rigid")
    errors = np.linalg.norm(found.affine.moving_positions(body_points()) - moved(away)(body_points()), axis=1)
    assert found.verdict == "good"
    assert errors.mean() < 0.15 * VOXEL_MM


def test_an_affine_change_of_size_is_found() -> None:
    stretch = motion((5.0, 0.0, -8.0), (10.0, 5.0, -12.0)) @ np.diag([1.1, 0.93, 1.05, 1.0])
    found = register(blob_volume(moved(stretch)), blob_volume(), "affine")
    errors = np.linalg.norm(found.affine.moving_positions(body_points()) - moved(stretch)(body_points()), axis=1)
    assert found.verdict == "good"
    assert errors.mean() < 0.6


@pytest.fixture(scope="module")
def warped() -> Registration:
    return register(blob_volume(bent), blob_volume(), "deformable")


def test_a_smooth_warp_is_found_within_half_a_voxel_and_without_folds(warped: Registration) -> None:
    assert warped.verdict == "good"
    assert_bent(warped)
    assert warped.quality.folded_share == 0.0


def test_the_same_between_ct_and_mr() -> None:
    def as_mr(value: NDArray[np.float64]) -> NDArray[np.float64]:
        # Air is dark, and bright and dark tissue change places.
        return np.where(value < -600, 10.0, 900.0 - value)

    found = register(blob_volume(bent), blob_volume(look=as_mr), "deformable", ("CT", "MR"))
    assert found.verdict == "doubtful"
    assert found.reasons == ("between two modalities, which is never better than doubtful",)
    assert_bent(found, median=0.8)


def assert_bent(found: Registration, median: float = 0.65) -> None:
    """median : in voxels"""
    points = body_points()
    before = np.linalg.norm(bent(points) - points, axis=1)
    errors = np.linalg.norm(displaced(found.field, points) - bent(points), axis=1)
    assert np.median(before) > 9.0
    assert np.median(errors) < median * VOXEL_MM
    assert np.percentile(errors, 95) < 1.7 * VOXEL_MM


def test_swapped_images_give_the_inverse(warped: Registration) -> None:
    back = register(blob_volume(), blob_volume(bent), "deformable")
    points = body_points()
    returned = displaced(back.field, displaced(warped.field, points))
    assert np.linalg.norm(returned - points, axis=1).mean() < 0.3 * VOXEL_MM


def test_another_patient_is_no_match() -> None:
    found = register(blob_volume(), blob_volume(patient=7), "deformable")
    assert found.verdict == "failed"
    assert found.reasons


def test_steps_that_make_edges_agree_little_better_are_left_out() -> None:
    """Another body, which nothing can be laid on."""
    found = register(blob_volume(), blob_volume(patient=1), "deformable")
    assert (found.kind, found.field) == ("rigid", None)
    assert found.quality.edge_agreement_after == found.quality.edge_agreement_before
    assert found.remark is not None
    assert "left out: the rigid step" in found.remark
    assert "the deformable step" in found.remark
    assert found.verdict == "failed"


def test_an_oblique_grid_with_other_spacing_gives_the_same_millimetres() -> None:
    turn = motion((12.0, -20.0, 8.0), (0.0, 0.0, 0.0))[:3, :3]
    found = register(blob_volume(bent), blob_volume(shape=(64, 56, 60), spacing=3.0, turn=turn), "deformable")
    assert_bent(found)


def test_a_field_of_view_that_shows_half_is_enough() -> None:
    whole = blob_volume(moved(motion((0.0, 0.0, 6.0), (8.0, -6.0, 20.0))))
    half = Volume(whole.array[:22], type(whole.geometry)(whole.geometry.affine, (22, 44, 44)))
    found = register(half, blob_volume(), "rigid")
    truth = moved(motion((0.0, 0.0, 6.0), (8.0, -6.0, 20.0)))
    points = body_points()
    points = points[points[:, 2] < half.geometry.positions(np.array([21, 0, 0]))[2]]
    assert np.linalg.norm(found.affine.moving_positions(points) - truth(points), axis=1).mean() < 1.0


def test_single_slices_are_aligned_in_their_plane() -> None:
    def slice_of(turn: NDArray[np.float64], height: float) -> Volume:
        volume = blob_volume(moved(turn), shape=(1, 90, 90), spacing=2.0)
        affine = volume.geometry.affine.copy()
        affine[2, 3] += height
        return Volume(volume.array, type(volume.geometry)(affine, volume.geometry.shape))

    turn = motion((0.0, 0.0, 14.0), (12.0, -9.0, 0.0))
    found = register(slice_of(turn, 0.0), slice_of(np.eye(4), 300.0), "deformable")
    points = body_points()
    points = np.unique(points * (1, 1, 0), axis=0)
    errors = np.linalg.norm((found.affine.moving_positions(points) - moved(turn)(points) - (0, 0, 300.0)), axis=1)
    assert (found.verdict, found.kind) == ("good", "rigid")
    assert np.median(errors) < 1.0


def test_a_slice_and_a_volume_are_refused() -> None:
    with pytest.raises(ValueError, match="one of each"):
        register(blob_volume(shape=(1, 44, 44)), blob_volume(), "rigid")


def test_the_phantom_is_bright_where_its_formula_says() -> None:
    volume = blob_volume()
    middle = volume.geometry.indices(np.zeros(3)).round().astype(int)
    place = volume.geometry.positions(middle)
    assert volume.array[tuple(middle)] == pytest.approx(blob_value(place), rel=1e-5)
