from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.slices import shallow_copy, slices_of
from operators.errors import SeriesGeometryError
from phantoms import OBLIQUE, SeriesSpec, build_datasets, build_enhanced, save_series

ENHANCED_MR = Path(__file__).parents[3] / "data" / "mr_enhanced_philips"
SPEC = SeriesSpec(shape=(4, 12, 10), row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], modality="MR")


def frames_of(dataset: Dataset, folder: Path):
    save_series([dataset], folder)
    (series,) = index_study(folder).series
    return slices_of(series.instances[0])


def test_a_classic_instance_is_one_slice_with_its_own_header(tmp_path: Path):
    save_series(build_datasets(SPEC), tmp_path)
    (series,) = index_study(tmp_path).series
    for instance in series.instances:
        (plane,) = slices_of(instance)
        assert plane.header is instance.header
        assert plane.frame == 0


def test_the_frames_of_an_enhanced_one_read_like_classic_slices(tmp_path: Path):
    frames = frames_of(build_enhanced(SPEC), tmp_path)
    assert [plane.frame for plane in frames] == [0, 1, 2, 3]
    for plane, classic in zip(frames, build_datasets(SPEC), strict=True):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
            np.testing.assert_allclose(plane.header[keyword].value, classic[keyword].value)
        for keyword in ("RescaleSlope", "RescaleIntercept", "Rows", "Columns", "SeriesInstanceUID", "PatientID"):
            assert plane.header[keyword].value == classic[keyword].value
        assert "NumberOfFrames" not in plane.header
        assert plane.header.SOPInstanceUID == frames[0].instance.header.SOPInstanceUID


def test_functional_groups_get_the_classic_keywords(tmp_path: Path):
    dataset = build_enhanced(SPEC)
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.MREchoSequence = [_item(EffectiveEchoTime=10.0 * number)]
        group.MRDiffusionSequence = [_item(DiffusionBValue=800.0)]
        group.FrameContentSequence = [_item(TemporalPositionIndex=number, FrameAcquisitionNumber=7)]
        group.MRImageFrameTypeSequence = [_item(FrameType=["ORIGINAL", "PRIMARY", "T1", "NONE"])]
    header = frames_of(dataset, tmp_path)[2].header
    assert header.EchoTime == 20
    assert header.DiffusionBValue == 800
    assert header.TemporalPositionIdentifier == 2
    assert header.AcquisitionNumber == 7
    assert header.ImageType == ["ORIGINAL", "PRIMARY", "T1", "NONE"]


def test_no_functional_group_changes_who_or_what_the_object_is(tmp_path: Path):
    dataset = build_enhanced(SPEC)
    stray = _item(PatientID="CANARY", SOPInstanceUID="1.2.3", Rows=7, InstanceNumber=9)
    dataset.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = [stray]
    header = frames_of(dataset, tmp_path)[0].header
    assert header.PatientID == SPEC.patient_id
    assert header.SOPInstanceUID == dataset.SOPInstanceUID
    assert header.Rows == 12
    assert header.InstanceNumber == 9


def test_several_items_of_a_macro_describe_no_plane(tmp_path: Path):
    dataset = build_enhanced(SPEC)
    group = dataset.PerFrameFunctionalGroupsSequence[1]
    group.ReferencedImageSequence = [_item(ImagePositionPatient=[1, 2, 3]), _item(ImagePositionPatient=[4, 5, 6])]
    expected = build_datasets(SPEC)[1].ImagePositionPatient
    assert frames_of(dataset, tmp_path)[1].header.ImagePositionPatient == expected


def test_frames_without_groups_of_their_own_are_refused(tmp_path: Path):
    dataset = build_enhanced(SPEC)
    dataset.NumberOfFrames = 40
    with pytest.raises(SeriesGeometryError, match="functional groups for each of 40 frames, found 4"):
        frames_of(dataset, tmp_path)


def test_a_multi_frame_image_without_functional_groups_is_one_slice(tmp_path: Path):
    dataset = build_enhanced(SPEC)
    del dataset.PerFrameFunctionalGroupsSequence
    assert len(frames_of(dataset, tmp_path)) == 1


def test_the_real_philips_object_has_its_eight_frames_1_2_mm_apart():
    (series,) = index_study(ENHANCED_MR).series
    frames = slices_of(series.instances[0])
    assert len(frames) == 8
    positions = np.array([plane.header.ImagePositionPatient for plane in frames], float)
    np.testing.assert_allclose(np.diff(positions, axis=0), np.tile([-1.2, 0, 0], (7, 1)), atol=1e-4)
    assert {float(plane.header.RescaleSlope) for plane in frames} == {4.25885225885225}
    assert {plane.header.EchoTime for plane in frames} == {3.133}
    assert list(frames[0].header.PixelSpacing) == [1, 1]


def test_a_shallow_copy_leaves_the_original_as_it_was():
    original = build_datasets(SPEC)[0]
    copied = shallow_copy(original)
    copied.add_new("PatientID", "LO", "other")
    del copied.BodyPartExamined
    assert copied.PatientID == "other"
    assert original.PatientID == SPEC.patient_id
    assert original.BodyPartExamined == "CHEST"
    assert copied.file_meta is original.file_meta


def test_a_shallow_copy_keeps_names_in_their_character_set(tmp_path: Path):
    spec = SeriesSpec(shape=(1, 4, 4), patient_name="Yamada^Tarou=山田^太郎", character_set=["", "ISO 2022 IR 87"])
    (path,) = save_series(build_datasets(spec), tmp_path)
    copied = shallow_copy(pydicom.dcmread(path))
    assert str(copied.PatientName) == "Yamada^Tarou=山田^太郎"


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
