"""The object is the one that highdicom itself would write of the same masks, frame for frame."""

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from operators.dicom.results.source_headers import padded_headers
from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.volume_reader import read_series
from phantoms import OBLIQUE, SeriesSpec, build_enhanced, build_source_series, save_series
from result_cases import Case, build_case, highdicom_equipment, save

SPEC = SeriesSpec(
    shape=(14, 15, 19),
    pixel_spacing=(3.5, 3.0),
    slice_spacing=4.0,
    row_cosine=OBLIQUE[0],
    column_cosine=OBLIQUE[1],
    descending=True,
)
DATES = ("ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime")
"""Dates are those of the run, UIDs a function of the content; both have tests of their own."""


@pytest.fixture(scope="module", params=["classic", "enhanced"])
def case(request, tmp_path_factory):
    if request.param == "classic":
        return build_case(build_source_series(SPEC))
    folder = tmp_path_factory.mktemp("source")
    save_series([build_enhanced(SPEC)], folder)
    (series,) = index_study(folder).series
    return build_case(read_series(series, role="test"))


@pytest.mark.parametrize("segmentation_type", ["BINARY", "LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_same_object_as_highdicoms(case, segmentation_type, count, tmp_path):
    segments = case.segments.segments[:count]
    case = Case(
        case.source, type(case.segments)(case.segments.series_instance_uid, case.segments.geometry, segments), ()
    )
    ours = dcmread(save(case.segmentation(segmentation_type=segmentation_type), tmp_path))
    _by_highdicom(case, ours, segmentation_type).save_as(tmp_path / "highdicom.dcm")
    theirs = dcmread(tmp_path / "highdicom.dcm")
    assert _keywords(ours) == _keywords(theirs)
    for element in theirs:
        if element.keyword not in (*DATES, "PixelData", "PerFrameFunctionalGroupsSequence", "SOPInstanceUID"):
            assert _comparable(ours[element.tag].value) == _comparable(element.value), element.keyword
    assert _frames(ours) == _frames(theirs, backwards=True)
    assert len(ours.PixelData) == len(theirs.PixelData)


def _keywords(dataset: Dataset) -> set[str]:
    return {element.keyword for element in dataset} - set(DATES)


def _frames(dataset: Dataset, *, backwards: bool = False) -> dict[tuple[int, ...], tuple[object, bytes]]:
    """Functional groups and pixels by the dimension index values.

    backwards : along the slices; highdicom counts them against the cross product of row and column cosines
    """
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    groups = dataset.PerFrameFunctionalGroupsSequence
    last = max(_dimension_index(group)[-1] for group in groups)
    frames = {}
    for group, frame in zip(groups, pixels, strict=True):
        *segment, place = _dimension_index(group)
        del group.FrameContentSequence
        frames[*segment, last + 1 - place if backwards else place] = (_comparable(group), frame.tobytes())
    return frames


def _dimension_index(group: Dataset) -> list[int]:
    value = group.FrameContentSequence[0].DimensionIndexValues
    return [value] if isinstance(value, int) else list(value)


def _by_highdicom(case: Case, ours: Dataset, segmentation_type: str) -> Dataset:
    """With our descriptions of the segments and of the equipment, everything else its own."""
    source = case.source
    headers, _ = padded_headers([source.multi_frame] if source.multi_frame else source.headers)
    arrays = [
        segment.probability if segmentation_type == "FRACTIONAL" else segment.mask for segment in case.segments.segments
    ]
    pixels = np.stack(arrays, axis=-1)
    if segmentation_type == "FRACTIONAL":
        pixels = pixels / np.float64(255)
    if source.multi_frame:
        pixels = pixels[np.argsort(source.frame_numbers)]  # in the order of the frames
    return hd.seg.Segmentation(
        source_images=headers,
        pixel_array=pixels,
        segmentation_type=segmentation_type,
        segment_descriptions=_described(ours),
        series_instance_uid=ours.SeriesInstanceUID,
        series_number=ours.SeriesNumber,
        sop_instance_uid=ours.SOPInstanceUID,
        instance_number=1,
        **highdicom_equipment(),
        content_qualification="RESEARCH",
        content_label=ours.ContentLabel,
        content_description=ours.ContentDescription,
        content_creator_name=ours.ContentCreatorName,
        series_description=ours.SeriesDescription,
    )


def _described(ours: Dataset) -> list[hd.seg.SegmentDescription]:
    described = [item for item in ours.SegmentSequence if item.SegmentNumber > 0]
    return [hd.seg.SegmentDescription.from_dataset(item) for item in described]


def _comparable(value: object) -> object:
    """Without UIDs of the run and times of the equipment."""
    if not isinstance(value, (list, Dataset)) and not hasattr(value, "append"):
        return value
    if isinstance(value, Dataset):
        changing = ("DimensionOrganizationUID", "ContributionDateTime")
        return {element.keyword: _comparable(element.value) for element in value if element.keyword not in changing}
    return [_comparable(item) for item in value]


def test_frames_stay_encoded_until_somebody_looks(case, tmp_path):
    """Thousands of frames are written without a data set for each."""
    dataset = case.segmentation()
    save(dataset, tmp_path)
    for keyword in ("PerFrameFunctionalGroupsSequence", "SourceImageSequence", "ReferencedSeriesSequence"):
        assert dataset.get_item(keyword).is_raw
    assert len(dataset.PerFrameFunctionalGroupsSequence) == dataset.NumberOfFrames
