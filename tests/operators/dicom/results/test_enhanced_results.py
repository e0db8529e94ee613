"""Results on the frames of an enhanced object refer to the right ones, whatever order it stores them in."""

from pathlib import Path

import highdicom
import numpy as np
import pytest

from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.source_series import SourceSeries
from operators.dicom.volumes.volume_reader import read_series
from phantoms import (
    OBLIQUE,
    SeriesSpec,
    build_datasets,
    build_enhanced,
    grid_positions,
    merge_frames,
    phantom_mask,
    save_series,
)
from result_cases import LABELS, build_case, dciodvfy, save

SPEC = SeriesSpec(row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], descending=True)


def read(folder: Path) -> SourceSeries:
    (series,) = index_study(folder).series
    return read_series(series, role="test")


@pytest.fixture
def source(tmp_path: Path) -> SourceSeries:
    save_series([build_enhanced(SPEC)], tmp_path / "enhanced")
    return read(tmp_path / "enhanced")


def test_each_mask_refers_to_the_frame_at_its_place(source: SourceSeries):
    segmentation = build_case(source).segmentation()
    groups = source.multi_frame.PerFrameFunctionalGroupsSequence
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.ReferencedSOPInstanceUID == source.multi_frame.SOPInstanceUID
        frame = groups[int(image.ReferencedFrameNumber) - 1]
        np.testing.assert_allclose(
            group.PlanePositionSequence[0].ImagePositionPatient,
            frame.PlanePositionSequence[0].ImagePositionPatient,
            atol=1e-5,
        )


def test_another_reader_finds_the_masks_where_the_phantom_has_them(source: SourceSeries, tmp_path: Path):
    path = save(build_case(source).segmentation(), tmp_path)
    for number, body in enumerate(LABELS.values(), start=1):
        volume = highdicom.seg.segread(path).get_volume(segment_numbers=[number], combine_segments=True)
        places = volume.map_indices_to_reference(np.argwhere(volume.array))
        expected = grid_positions(source.volume.geometry)
        expected = expected[phantom_mask(expected, body)]
        np.testing.assert_allclose(np.sort(places, axis=0), np.sort(expected, axis=0), atol=1e-4)


def test_the_objects_conform_and_the_report_names_frames(source: SourceSeries, tmp_path: Path):
    case = build_case(source)
    segmentation = case.segmentation()
    report = case.report([segmentation])
    for dataset in (segmentation, report):
        errors, _ = dciodvfy(save(dataset, tmp_path))
        assert errors == []
    assert "Referenced Frame Number" in str(report)


def test_masks_on_frames_of_several_objects_name_each_ones(tmp_path: Path):
    slices = build_datasets(SPEC)
    save_series([merge_frames(slices[:9]), merge_frames(slices[9:])], tmp_path / "source")
    source = read(tmp_path / "source")
    assert source.volume.geometry.shape == SPEC.shape
    assert "frames of 2 objects make the volume" in source.remarks[0]
    segmentation = build_case(source).segmentation()
    errors, _ = dciodvfy(save(segmentation, tmp_path))
    assert errors == []
    places = {
        (header.SOPInstanceUID, frame): header.ImagePositionPatient
        for header, frame in zip(source.headers, source.frame_numbers, strict=True)
    }
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        np.testing.assert_allclose(
            group.PlanePositionSequence[0].ImagePositionPatient,
            places[image.ReferencedSOPInstanceUID, image.ReferencedFrameNumber],
            atol=1e-5,
        )
