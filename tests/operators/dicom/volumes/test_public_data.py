"""Every item of the public data has its outcome: the right volume, seen by a second reader, or the right refusal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import dcmread

from operators.dicom.selection.rules import SelectionRules, default_rules
from operators.dicom.selection.series_selection import SeriesDecision, select_series
from operators.dicom.selection.series_splitting import split_series
from operators.dicom.study.study_index import StudyIndex, check_one_study, index_study
from operators.dicom.volumes.volume_reader import read_volume
from operators.domain.volume import AIR_HU, Volume
from operators.errors import InputError, PatientMismatchError, SeriesGeometryError, UnsupportedPixelDataError
from phantoms import SeriesSpec, build_datasets, save_series

DATA = Path(__file__).parents[3] / "data"
LOWEST_HU = -1024
PATIENT_WORDS = ("CANARY", "QIN-HEADNECK", "dicom2nifti", "99000", "2178309")


@dataclass(frozen=True)
class Expected:
    """outcome: a role that is filled, or the error of the check on the whole input, or "nothing"

    reasons : for the series without a role, what one of its reasons says, by modality
    """

    outcome: str | type[InputError]
    reasons: tuple[tuple[str, str], ...] = ()


NO_IMAGES = tuple((modality, f"modality {modality} is not CT or MR") for modality in ("SEG", "SR", "RWV"))

EXPECTED = {
    "ct_chest_lidc0314": Expected("CT volume"),
    "ct_thigh_sts003": Expected("CT volume"),
    "mr_brain_positions/HFS": Expected("MR volume"),
    "mr_brain_positions/HFDR": Expected("MR volume"),
    # Two examinations of one person poured together: nobody could say which one was meant.
    "mr_brain_positions": Expected(InputError),
    "ct_liver_with_seg/ct": Expected("CT volume"),
    "ct_liver_with_seg": Expected(PatientMismatchError, NO_IMAGES[:1]),
    "ct_abdomen_totalseg": Expected(InputError, (("CT", "8 of 8 instances without a valid SeriesInstanceUID"),)),
    "ct_abdomen_slices_dtu": Expected(InputError, (("CT", "1 slice, at least 3 are needed"),)),
    # Three items of one publisher came without a frame of reference: that and what they are there for is said.
    "ct_missing_slice": Expected(
        "nothing",
        (
            (
                "CT",
                "4 slices are 5.000 to 10.000 mm apart, expected 5.000 mm throughout; 1 missing between slices 3 and 4",
            ),
            ("CT", "4 of 4 slices without a valid FrameOfReferenceUID"),
        ),
    ),
    "mr_enhanced_philips": Expected("nothing", (("MR", "8 of 8 slices without a valid FrameOfReferenceUID"),)),
    "mr_two_orientations": Expected(
        "nothing",
        (
            ("MR", "2 volumes in the series: sagittal 288 x 288; axial 288 x 288"),
            ("MR", "2 slices, at least 3 are needed"),
            ("MR", "2 of 2 slices without a valid FrameOfReferenceUID"),
        ),
    ),
    "mr_one_image_nine_encodings": Expected(
        "nothing", (("MR", "a mosaic of slices in one image"), ("MR", "9 slices at 1 position, at least 3 are needed"))
    ),
    "ct_one_slice_many_syntaxes": Expected(
        PatientMismatchError, (("CT", "6 slices at 1 position, at least 3 are"), ("US", "modality US is not CT or MR"))
    ),
    "sr_tid1500_example": Expected("nothing", NO_IMAGES),
}


FRAMED = {
    "ct_missing_slice": Expected("nothing", (("CT", "1 missing between slices 3 and 4"),)),
    "mr_two_orientations": Expected("nothing", (("MR", "2 slices, at least 3 are needed"),)),
    "mr_enhanced_philips": Expected("MR volume"),
}
"""What comes of the three when they get the frame of reference that they lack."""


def outcome_of(study: StudyIndex, decisions: Sequence[SeriesDecision]) -> str | type[InputError]:
    try:
        check_one_study(study)
    except InputError as error:
        return type(error)
    return next((decision.role for decision in decisions if decision.role), "nothing")


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_every_item_has_its_outcome(name: str, expected: Expected):
    assert_outcome(DATA / name, expected)


def assert_outcome(folder: Path, expected: Expected) -> str:
    """Also that no reason names a patient; gives all reasons."""
    study = index_study(folder)
    decisions = select_series(study)
    assert outcome_of(study, decisions) == expected.outcome
    for modality, words in expected.reasons:
        reasons = [reason for one in decisions if one.series.modality == modality for reason in one.reasons]
        assert any(words in reason for reason in reasons), reasons
    said = " ".join(reason for decision in decisions for reason in decision.reasons)
    assert not any(word in said for word in PATIENT_WORDS)
    return said


def framed(name: str, folder: Path) -> Path:
    """A copy of an item in which every slice names one frame of reference."""
    for path in (DATA / name).iterdir():
        dataset = dcmread(path)
        dataset.FrameOfReferenceUID = "1.2.840.1"
        dataset.save_as(folder / path.name)
    return folder


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(("name", "expected"), FRAMED.items(), ids=FRAMED)
def test_with_a_frame_of_reference_an_items_own_defect_decides(name: str, expected: Expected, tmp_path: Path):
    assert "FrameOfReferenceUID" not in assert_outcome(framed(name, tmp_path), expected)


def test_a_framed_enhanced_object_is_the_volume_of_a_second_reader(tmp_path: Path):
    (path,) = framed("mr_enhanced_philips", tmp_path).iterdir()
    (decision,) = select_series(index_study(path))
    assert_same(read_volume(decision.volume, role="test").volume, [path])


def test_a_pair_of_single_slices_from_two_dates_is_refused(tmp_path: Path):
    """As the pairs of one public set lie, whose terms do not allow a copy here: two studies of one slice each."""
    for number in range(2):
        (dataset,) = build_datasets(SeriesSpec(shape=(1, 16, 16), series=f"date {number}"))
        dataset.StudyInstanceUID = f"1.2.3.{number}"
        save_series([dataset], tmp_path / str(number))
    assert_outcome(tmp_path, Expected(InputError, (("CT", "1 slice, at least 3 are needed"),)))


def test_nifti_files_are_no_dicom(tmp_path: Path):
    """Two public sets are NIfTI alone; a made-up image stands for them."""
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), tmp_path / "ct.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), tmp_path / "ct.nii")
    with pytest.raises(InputError, match="no DICOM file found among 2 files"):
        index_study(tmp_path)


def test_every_folder_of_the_data_is_in_a_table():
    folders = {path.name for path in DATA.iterdir() if path.is_dir()}
    assert folders - {"ct_phantom_htj2k"} == {name.split("/")[0] for name in EXPECTED}


def simple_itk_volume(paths: Sequence[Path]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(D, H, W) values and the affine from (slice, row, column) to LPS mm, as SimpleITK reads the sorted files."""
    # One file is read as it is: it may hold a whole volume.
    image = SimpleITK.ReadImage([str(path) for path in paths] if len(paths) > 1 else str(paths[0]))
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = direction[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).astype(np.float32), affine


def assert_same(volume: Volume, paths: Sequence[Path]) -> None:
    array, affine = simple_itk_volume(paths)
    # The padding around a CT's field of view is air to us; SimpleITK rescales its mark like a measured value.
    array[array < LOWEST_HU] = AIR_HU
    np.testing.assert_allclose(volume.geometry.affine, affine, atol=2e-3)
    np.testing.assert_allclose(volume.array, array, atol=1e-3)


VOLUMES = (
    "ct_chest_lidc0314",
    "mr_brain_positions/HFS",
    "mr_brain_positions/HFDR",
    "ct_liver_with_seg/ct",
    "ct_abdomen_totalseg",
)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_are_those_of_a_second_reader(name: str):
    (series,) = index_study(DATA / name).series
    (candidate,) = split_series(series)
    volume = read_volume(candidate, role="test").volume
    planes = sorted(candidate.slices, key=lambda plane: _distance(plane.header))
    assert_same(volume, [plane.instance.path for plane in planes])


def _distance(header) -> float:
    row, column = np.array(header.ImageOrientationPatient, np.float64).reshape(2, 3)
    return float(np.cross(row, column) @ np.array(header.ImagePositionPatient, np.float64))


@pytest.mark.parametrize("name", ["Validation1.dcm", "Validation2.dcm"])
def test_a_single_slice_is_a_volume_where_a_role_accepts_one(name: str):
    role = {"name": "one slice", "modality": "CT", "min_slices": 1}
    rules = SelectionRules.model_validate({"every": default_rules().every, "roles": [role]})
    (decision,) = select_series(index_study(DATA / "ct_abdomen_slices_dtu" / name), rules)
    assert decision.role == "one slice"
    volume = read_volume(decision.volume, role="one slice").volume
    array, affine = simple_itk_volume([DATA / "ct_abdomen_slices_dtu" / name])
    array[array < LOWEST_HU] = AIR_HU
    np.testing.assert_allclose(volume.array, array.reshape(volume.array.shape), atol=1e-3)
    np.testing.assert_allclose(volume.geometry.affine[:3, 1:], affine[:3, 1:], atol=2e-3)
    assert volume.geometry.affine[2, 0] == pytest.approx(3)


def test_an_enhanced_object_lies_where_its_frames_say():
    (series,) = index_study(DATA / "mr_enhanced_philips").series
    (candidate,) = split_series(series)
    assert len(candidate.slices) == 8
    volume = read_volume(candidate, role="test").volume
    for index, plane in enumerate(sorted(candidate.slices, key=lambda plane: _distance(plane.header))):
        first = volume.geometry.positions(np.array([index, 0, 0]))
        np.testing.assert_allclose(first, np.array(plane.header.ImagePositionPatient, np.float64), atol=1e-2)


def test_two_orientations_are_two_volumes():
    (series,) = index_study(DATA / "mr_two_orientations").series
    volumes = split_series(series)
    assert [len(volume.slices) for volume in volumes] == [2, 2]
    assert {volume.slices[0].header.EchoTime for volume in volumes} == {90, 120}


def test_a_missing_slice_is_refused_by_the_reader_too():
    (series,) = index_study(DATA / "ct_missing_slice").series
    (candidate,) = split_series(series)
    with pytest.raises(SeriesGeometryError, match=r"5\.000 to 10\.000 mm"):
        read_volume(candidate, role="test")


def test_a_segmentation_is_no_image():
    for series in index_study(DATA / "sr_tid1500_example").series:
        assert series.modality in {"SEG", "SR", "RWV"}


RETIRED = ("JPEGProcess6_8", "JPEGProcess10_12")


@pytest.mark.parametrize(
    "path", sorted((DATA / "ct_one_slice_many_syntaxes").glob("CTImage*")), ids=lambda path: path.name.split("_")[1]
)
def test_each_transfer_syntax_is_read_or_refused_by_name(path: Path):
    (series,) = index_study(path).series
    (candidate,) = split_series(series)
    if any(name in path.name for name in RETIRED):
        with pytest.raises(UnsupportedPixelDataError, match="JPEG"):
            read_volume(candidate, role="test")
    else:
        assert read_volume(candidate, role="test").volume.geometry.shape == (1, 512, 512)
