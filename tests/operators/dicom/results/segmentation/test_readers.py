"""The masks lie where the phantom is, for readers of other makes, however the scanner cut the patient.

Each reader's own geometry gives every voxel a place in millimetres; the phantom's closed form says what is there.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import highdicom
import numpy as np
import pytest
import SimpleITK

from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.source_series import SourceSeries
from operators.dicom.volumes.volume_reader import read_series
from phantoms import OBLIQUE, SeriesSpec, Vector, build_enhanced, build_source_series, phantom_mask, save_series
from result_cases import LABELS, Case, build_case, phantom_probability, save

AXES = np.eye(3)
SMALL = {"shape": (14, 15, 19), "pixel_spacing": (3.5, 3.0), "slice_spacing": 4.0}
"""Frames of 285 pixels, so that one ends within a byte."""
TYPES = ("BINARY", "LABELMAP", "FRACTIONAL")


def _orders() -> Iterator[tuple[str, SeriesSpec]]:
    """Every way to lay the axes of columns, rows and slices along x, y and z, forwards or backwards."""
    for axes, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        column_way, row_way, slice_way = (sign * AXES[axis] for axis, sign in zip(axes, signs, strict=True))
        name = " ".join(f"{'+-'[sign < 0]}{'xyz'[axis]}" for axis, sign in zip(axes, signs, strict=True))
        descending = bool(np.cross(column_way, row_way) @ slice_way < 0)
        yield (
            name,
            SeriesSpec(row_cosine=_vector(column_way), column_cosine=_vector(row_way), descending=descending, **SMALL),
        )


def _vector(axis: np.ndarray) -> Vector:
    x, y, z = axis.tolist()
    return (x, y, z)


ORDERS = dict(_orders())
SPECIAL = {
    "oblique": SeriesSpec(row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], descending=True, **SMALL),
    "one slice": SeriesSpec(
        shape=(1, 24, 31), pixel_spacing=(2.5, 2.0), slice_spacing=4.0, centre_lps_mm=(0.0, 0.0, -3.0)
    ),
}


def _source(name: str, kind: str, folder: Path) -> SourceSeries:
    spec = (ORDERS | SPECIAL)[name]
    if kind == "classic":
        return build_source_series(spec)
    save_series([build_enhanced(spec)], folder / "source")
    (series,) = index_study(folder / "source").series
    return read_series(series, role="test")


def _written(name: str, kind: str, segmentation_type: str, folder: Path) -> tuple[Case, Path]:
    case = build_case(_source(name, kind, folder))
    return case, save(case.segmentation(segmentation_type=segmentation_type), folder)


def _assert_phantom(stored: np.ndarray, segmentation_type: str, positions: np.ndarray, label: str) -> None:
    if segmentation_type == "FRACTIONAL":
        # A reader's position may round a probability to the neighbouring step.
        truth = phantom_probability(positions, LABELS[label])
        assert np.abs(stored.astype(int) - truth).max() <= 1
    else:
        np.testing.assert_array_equal(stored, phantom_mask(positions, LABELS[label]))


def _total(case: Case, segmentation_type: str, number: int) -> int:
    segment = case.segments.segments[number - 1]
    array = segment.probability if segmentation_type == "FRACTIONAL" else segment.mask
    return int(array.sum(dtype=int))


@pytest.mark.parametrize("name", ORDERS)
def test_highdicom_in_every_axis_order(name, tmp_path):
    for segmentation_type in TYPES:
        _compare_highdicom(*_written(name, "classic", segmentation_type, tmp_path), segmentation_type)


@pytest.mark.parametrize("name", ORDERS)
def test_dcmqi_in_every_axis_order(name, tmp_path):
    for segmentation_type in TYPES:
        _compare_dcmqi(*_written(name, "classic", segmentation_type, tmp_path), segmentation_type)


@pytest.mark.parametrize("segmentation_type", TYPES)
@pytest.mark.parametrize("kind", ["classic", "enhanced"])
@pytest.mark.parametrize("name", [*SPECIAL, "+x +y +z", "-y +z -x"])
def test_other_sources(name, kind, segmentation_type, tmp_path):
    case, path = _written(name, kind, segmentation_type, tmp_path)
    _compare_highdicom(case, path, segmentation_type)
    _compare_dcmqi(case, path, segmentation_type)


def _compare_highdicom(case: Case, path: Path, segmentation_type: str) -> None:
    volume = highdicom.seg.segread(path).get_volume(combine_segments=False, rescale_fractional=False)
    indices = np.stack(np.indices(volume.array.shape[:3]), axis=-1)
    positions = indices @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    for number, label in enumerate(LABELS, start=1):
        stored = volume.array[..., number - 1]
        _assert_phantom(stored, segmentation_type, positions, label)
        assert stored.sum(dtype=int) == _total(case, segmentation_type, number)


def _compare_dcmqi(case: Case, path: Path, segmentation_type: str) -> None:
    """dcmqi writes NRRD, a file for each segment unless they do not overlap; SimpleITK reads it."""
    folder = path.parent / f"nrrd {segmentation_type}"
    folder.mkdir()
    reader = Path(sys.executable).with_name("segimage2itkimage")
    command = [reader, "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd", "-p", "seg"]
    subprocess.run(command, check=True, capture_output=True)
    groups = json.loads((folder / "seg-meta.json").read_text())["segmentAttributes"]
    found = {}
    for file_number, group in enumerate(groups, start=1):
        image = SimpleITK.ReadImage(str(folder / f"seg-{file_number}.nrrd"))
        array = SimpleITK.GetArrayFromImage(image)
        direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        indices = np.stack(np.indices(array.shape), axis=-1)[..., ::-1]  # ITK counts x, y, z
        positions = indices @ direction.T + np.array(image.GetOrigin())
        for attributes in group:
            label = attributes["SegmentLabel"]
            stored = array == attributes["labelID"] if segmentation_type != "FRACTIONAL" else array
            _assert_phantom(stored, segmentation_type, positions, label)
            found[label] = int(stored.sum(dtype=int))
    expected = {label: _total(case, segmentation_type, number) for number, label in enumerate(LABELS, start=1)}
    assert found == expected
