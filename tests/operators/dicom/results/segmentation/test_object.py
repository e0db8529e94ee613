import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK

from operators.domain.concepts import SEGMENTS
from phantoms import SeriesSpec, build_source_series, phantom_mask
from result_cases import GEOMETRIES, LABELS, PROVENANCE, build_case, save


@pytest.fixture(scope="module", params=GEOMETRIES, ids=lambda name: name)
def written(request, tmp_path_factory):
    case = build_case(build_source_series(GEOMETRIES[request.param]))
    return case, save(case.segmentation(), tmp_path_factory.mktemp("seg"))


def test_every_frame_lies_where_the_phantom_is(written):
    """Functional groups alone (PS3.3 C.7.6.16.2) to millimetres, against the closed form."""
    case, path = written
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    rows, columns = np.indices((dataset.Rows, dataset.Columns))
    on_plane = rows[..., None] * between_rows * orientation[3:] + columns[..., None] * between_columns * orientation[:3]
    voxels = dict.fromkeys(LABELS, 0)
    for frame, groups in zip(dataset.pixel_array, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        label = dataset.SegmentSequence[number - 1].SegmentLabel
        positions = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float) + on_plane
        np.testing.assert_array_equal(frame.astype(bool), phantom_mask(positions, LABELS[label]))
        voxels[label] += int(frame.sum())
    assert voxels == {segment.label: segment.mask.sum() for segment in case.segments.segments}


def test_dcmqi_and_itk_see_the_phantom_in_its_place(written, tmp_path):
    """A second reader that shares no code with the writer."""
    case, path = written
    reader = Path(sys.executable).with_name("segimage2itkimage")
    command = [reader, "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nrrd", "-p", "seg"]
    subprocess.run(command, check=True, capture_output=True)
    described = json.loads((tmp_path / "seg-meta.json").read_text())["segmentAttributes"]
    for number, (label, (attributes,)) in enumerate(zip(LABELS, described, strict=True), start=1):
        assert attributes["SegmentLabel"] == label
        assert attributes["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == SEGMENTS[label][1].value
        image = SimpleITK.ReadImage(str(tmp_path / f"seg-{number}.nrrd"))
        array = SimpleITK.GetArrayFromImage(image).astype(bool)
        direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        indices = np.stack(np.indices(array.shape), axis=-1)[..., ::-1]  # ITK counts x, y, z
        positions = indices @ direction.T + np.array(image.GetOrigin())
        np.testing.assert_array_equal(array, phantom_mask(positions, LABELS[label]))
        assert array.sum() == case.segments.segments[number - 1].mask.sum()


def test_highdicom_finds_each_source_slice_of_a_segment(written):
    case, path = written
    segmentation = hd.seg.segread(path)
    for segment in case.segments.segments:
        pixels = segmentation.get_pixels_by_source_instance(
            case.source.sop_instance_uids,
            segment_numbers=[segment.number],
            assert_missing_frames_are_empty=True,
        )
        np.testing.assert_array_equal(pixels[..., 0].astype(bool), segment.mask)


def test_references_say_that_locations_are_preserved_and_empty_frames_are_left_out(written):
    case, path = written
    dataset = pydicom.dcmread(path)
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        assert source.SpatialLocationsPreserved == "YES"
        assert source.ReferencedSOPInstanceUID in case.source.sop_instance_uids
    occupied = sum(int(segment.mask.any(axis=(1, 2)).sum()) for segment in case.segments.segments)
    assert dataset.NumberOfFrames == occupied


@pytest.fixture(scope="module")
def case():
    return build_case(build_source_series(SeriesSpec()))


def test_attributes_of_the_object(case):
    dataset = case.segmentation()
    source = case.source.headers[0]
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (dataset.SegmentationType, dataset.BitsAllocated) == ("BINARY", 1)
    assert (dataset.ContentQualification, dataset.ContentLabel) == ("RESEARCH", "AI_RESEARCH")
    assert "research use only, demonstration model" in dataset.SeriesDescription
    assert dataset.ContentCreatorName
    assert dataset.FrameOfReferenceUID == source.FrameOfReferenceUID
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber"):
        assert dataset[keyword].value == source[keyword].value
    for segment, item in zip(case.segments.segments, dataset.SegmentSequence, strict=True):
        assert item.SegmentAlgorithmType == "AUTOMATIC"
        assert (item.TrackingID, item.TrackingUID) == (segment.tracking_id, segment.tracking_uid)
        category = item.SegmentedPropertyCategoryCodeSequence[0]
        assert (category.CodeValue, category.CodeMeaning) == (segment.category.value, segment.category.meaning)
        assert item.SegmentDescription == PROVENANCE.use_statement


@pytest.mark.parametrize(
    ("slices", "organization"), [([3], None), ([3, 4, 5], "3D"), ([3, 5, 6], None)], ids=["one", "stack", "gap"]
)
def test_only_a_regular_stack_is_called_three_dimensional(case, slices, organization):
    """PS3.3 C.7.6.17.1: 3D says that all frames lie at regular steps."""
    mask = np.zeros(case.source.volume.geometry.shape, bool)
    mask[slices, 5:9, 5:9] = True
    segment = replace(case.segments.segments[0], mask=mask)
    one = replace(case, segments=replace(case.segments, segments=(segment,))).segmentation()
    assert one.get("DimensionOrganizationType") == organization


def test_a_wrong_spacing_in_the_header_does_not_reach_the_result(case):
    expected = case.source.volume.geometry.spacing[0]
    header = build_source_series(SeriesSpec()).headers[0]
    header.SpacingBetweenSlices = "99"
    header.SliceThickness = None
    source = replace(case.source, headers=(header, *case.source.headers[1:]))
    dataset = replace(case, source=source).segmentation()
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SpacingBetweenSlices == expected
    assert measures.SliceThickness == expected
    assert header.SpacingBetweenSlices == 99


def test_what_cannot_be_a_segmentation_is_refused(case):
    lung, bone, mass = case.segments.segments

    def build(*segments, **changes):
        replace(case, segments=replace(case.segments, segments=segments, **changes)).segmentation()

    with pytest.raises(ValueError, match="numbers 1, 2, ... in order, got \\[\\]"):
        build()
    with pytest.raises(ValueError, match=r"got \[1, 3\]"):
        build(lung, mass)
    with pytest.raises(ValueError, match="mask of lung: empty"):
        build(replace(lung, mask=np.zeros_like(lung.mask)), bone, mass)
    with pytest.raises(ValueError, match="mask of lung: expected shape"):
        build(replace(lung, mask=lung.mask[1:]), bone, mass)
    with pytest.raises(ValueError, match="expected those of series"):
        build(lung, bone, mass, series_instance_uid="1.2.3")


def test_a_fractional_segmentation_needs_probabilities(case):
    lung, bone, mass = case.segments.segments
    segments = replace(case.segments, segments=(lung, replace(bone, probability=None), mass))
    with pytest.raises(ValueError, match="bone: a FRACTIONAL segmentation needs its probability"):
        replace(case, segments=segments).segmentation(segmentation_type="FRACTIONAL")


def test_segments_overlap_in_a_binary_segmentation_and_lose_voxels_in_a_label_map(case):
    lung, bone, mass = case.segments.segments
    shifted = np.roll(bone.mask, 3, axis=2)
    lost = int((shifted & bone.mask).sum())
    overlapping = replace(case, segments=replace(case.segments, segments=(lung, bone, replace(mass, mask=shifted))))
    said = []
    binary = overlapping.segmentation(warn=said.append)
    assert (binary.SegmentsOverlap, said) == ("YES", [])
    label_map = overlapping.segmentation(segmentation_type="LABELMAP", warn=said.append)
    (sentence,) = said
    assert f"{lost} voxels of segment 2 are shown as others" in sentence
    assert sentence.endswith(label_map.SegmentSequence[2].SegmentDescription.removeprefix(PROVENANCE.use_statement)[1:])
    pixels = label_map.pixel_array
    assert np.count_nonzero(pixels == 2) == bone.mask.sum() - lost
    assert np.count_nonzero(pixels == 3) == shifted.sum()
    assert label_map.SegmentsOverlap == "NO"


def test_every_segment_has_a_colour_of_its_own(case):
    items = case.segmentation().SegmentSequence
    assert len({tuple(item.RecommendedDisplayCIELabValue) for item in items}) == len(items)
