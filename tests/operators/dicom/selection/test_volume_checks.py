"""Everything that makes a volume unsafe is found in its headers, with the numbers."""

from dataclasses import replace

import pytest
from pydicom import Dataset

from operators.dicom.selection.conditions import KeywordTest
from operators.dicom.selection.series_splitting import split_series
from operators.dicom.selection.volume_checks import Soundness, check_volume
from operators.dicom.selection.volume_facts import VolumeFacts
from operators.dicom.study.read_limits import ReadLimits
from phantoms import build_datasets, build_enhanced
from series_cases import PLAIN, PLAIN_MR, raw, repeated, series_of, set_all


def checked(datasets: list[Dataset]) -> Soundness:
    (volume,) = split_series(series_of(datasets))
    return check_volume(volume)


def one_differs(**values: object):
    def change(number: int, dataset: Dataset) -> None:
        if number == 3:
            set_all(**values)(number, dataset)

    return change


@pytest.mark.parametrize("datasets", [build_datasets(PLAIN), [build_enhanced(PLAIN_MR)]], ids=["classic", "enhanced"])
def test_a_sound_volume_has_no_complaint(datasets):
    assert checked(datasets) == Soundness()


COMPLAINTS = {
    "two patients": (one_differs(PatientID="OTHER"), "2 different values of PatientID in one volume, expected one"),
    "two issuers": (one_differs(IssuerOfPatientID="X"), "2 different values of IssuerOfPatientID in one volume"),
    "two studies": (one_differs(StudyInstanceUID="1.2.3"), "2 different values of StudyInstanceUID in one volume"),
    "two frames": (one_differs(FrameOfReferenceUID="1.2.3"), "2 frames of reference in one volume, expected one"),
    "no frame": (set_all(FrameOfReferenceUID=""), "slices without a valid FrameOfReferenceUID"),
    "zero spacing": (set_all(PixelSpacing=[0, 1]), "PixelSpacing 0 x 1 mm is not plausible"),
    "negative spacing": (set_all(PixelSpacing=[-1, 1]), "PixelSpacing -1 x 1 mm is not plausible"),
    "spacing in another unit": (set_all(PixelSpacing=[800, 800]), "PixelSpacing 800 x 800 mm is not plausible"),
    "an absurd matrix": (set_all(Rows=65535, Columns=65535), "65535 x 65535 pixels exceeds the limit"),
    "no rows": (set_all(Rows=0), "0 rows"),
    "bits that do not fit": (set_all(BitsAllocated=8, BitsStored=12, HighBit=11), "8 allocated, 12 stored, high bit"),
    "a high bit that does not fit": (set_all(HighBit=20), "16 allocated, 16 stored, high bit 20"),
    "colour": (set_all(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "got 3 of RGB"),
    "a UID that is none": (one_differs(SOPInstanceUID="../../etc"), "1 of 8 instances without a valid SOPInstanceUID"),
    "a number that is none": (lambda k, d: raw(d, "RescaleSlope", b"one "), "RescaleSlope cannot be read in 8 of 8"),
    "a matrix that is none": (lambda k, d: raw(d, "Rows", b"\1", "US"), "Rows cannot be read in 8 of 8 slices"),
    "an unknown representation": (lambda k, d: raw(d, "PixelSpacing", b"1\\1 ", "ZZ"), "PixelSpacing cannot be read"),
    "not a number": (lambda k, d: raw(d, "PixelSpacing", b"nan\\1 "), "slices without a usable PixelSpacing"),
    "too few numbers": (lambda k, d: raw(d, "ImagePositionPatient", b"1\\2 "), "without a usable ImagePositionPatient"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(("change", "complaint"), COMPLAINTS.values(), ids=COMPLAINTS.keys())
def test_a_complaint_has_the_numbers(change, complaint):
    found = checked(repeated(PLAIN, [change])).complaints
    assert any(complaint in one for one in found), found


def test_pixels_that_are_not_there():
    series = series_of(build_datasets(PLAIN))
    series = replace(series, instances=(replace(series.instances[0], has_pixel_data=False), *series.instances[1:]))
    (volume,) = split_series(series)
    assert check_volume(volume).complaints == ("1 of 8 slices without pixel data",)


LIMITS = {
    "7 slices": (ReadLimits(max_slices=7), "8 slices, the limit is 7 (max_slices)"),
    "fewer bytes": (
        ReadLimits(max_volume_bytes=511),
        "a volume of 8 x 4 x 4 voxels takes 512 bytes, the limit is 511 (max_volume_bytes)",
    ),
    "fewer pixels": (
        ReadLimits(max_slice_pixels=15),
        "a slice of 4 x 4 pixels exceeds the limit of 15 pixels (max_slice_pixels)",
    ),
}


@pytest.mark.parametrize(("limits", "complaint"), LIMITS.values(), ids=LIMITS)
def test_a_volume_beyond_a_limit_leaves_its_place_to_another(limits: ReadLimits, complaint: str):
    (volume,) = split_series(series_of(build_datasets(PLAIN)))
    assert check_volume(volume, limits).complaints == (complaint,)
    exact = ReadLimits(max_slices=8, max_volume_bytes=512, max_slice_pixels=16)
    assert check_volume(volume, exact) == Soundness()


def test_all_reasons_are_listed_not_the_first_one():
    def change(number: int, dataset: Dataset) -> None:
        dataset.FrameOfReferenceUID = ""
        dataset.BitsStored = 20
        if number > 4:
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [x, y, z + 3]

    complaints = checked(repeated(PLAIN, [change])).complaints
    assert len(complaints) == 3
    for words in ("FrameOfReferenceUID", "20 stored", "3.000 to 6.000 mm apart, expected 3.000 mm"):
        assert any(words in complaint for complaint in complaints), complaints


@pytest.mark.parametrize(("thickness", "is_sparse"), [(1.5, True), (1.6, False), (3.0, False), ("", False)])
def test_slices_that_are_missing_regularly_are_a_drawback(thickness: float | str, is_sparse: bool):
    drawbacks = checked(repeated(PLAIN, [set_all(SliceThickness=thickness)])).drawbacks
    said = "slices of 1.5 mm lie 3 mm apart, 1.5 mm between them were not imaged or sent"
    assert drawbacks == (((said, -1.0),) if is_sparse else ())


@pytest.mark.parametrize("item", [Dataset(), None])
def test_rules_may_ask_whether_a_sequence_is_there(item: Dataset | None):
    change = set_all(ContrastBolusAgentSequence=[item] if item is not None else [])
    (volume,) = split_series(series_of(repeated(PLAIN, [change])))
    asked = KeywordTest(keyword="ContrastBolusAgentSequence", present=True)
    assert VolumeFacts(volume).everywhere(asked) is (item is not None)


def test_frames_without_a_place():
    dataset = build_datasets(PLAIN)[0]
    dataset.NumberOfFrames = 40
    assert "a multi-frame object that does not say where each of its 40 frames lies" in checked([dataset]).complaints


def test_a_frame_of_reference_for_each_slice_is_left_to_the_reader():
    change = lambda number, dataset: setattr(dataset, "FrameOfReferenceUID", f"1.2.{number}")  # noqa: E731
    assert checked(repeated(PLAIN, [change])) == Soundness()


def test_a_tilted_gantry_is_a_drawback():
    def tilt(number: int, dataset: Dataset) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 0.9 * number, z]

    assert checked(repeated(PLAIN, [tilt])).drawbacks == (("tilted or uneven, to be interpolated", -2.0),)


def test_slices_at_one_position_are_a_drawback_and_left_to_the_reader():
    soundness = checked(repeated(PLAIN, [set_all(), set_all()]))
    assert soundness == Soundness((), (("8 slices at positions that others have", -2.0),))
