"""Whatever a scanner writes, each voxel is at its millimetre with its value, or the series is refused for a reason."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)
from scipy.spatial.transform import Rotation

from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.slice_layout import IN_PLANE_TOLERANCE_MM, POSITION_TOLERANCE
from operators.dicom.volumes.slice_steps import MAX_STEP_RATIO
from operators.dicom.volumes.source_series import SourceSeries
from operators.dicom.volumes.volume_reader import read_series
from operators.errors import SeriesGeometryError
from phantoms import SeriesSpec, build_datasets, fill_pixels, grid_positions, merge_frames, ramp_value, save_series

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
)
RAMP_PER_MM = 6.2
"""How fast the ramp can rise."""

MANY = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def rounded(low: float, high: float, digits: int) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda x: round(x, digits))


@dataclass(frozen=True)
class Scan:
    """Slices of the ramp, wherever they lie.

    slopes : rescale slope of each slice
    distances : mm along the normal, ascending
    shear : mm along row and column directions for each mm along the normal
    """

    spec: SeriesSpec
    slopes: tuple[float, ...]
    distances: tuple[float, ...]
    shear: tuple[float, float]
    order: tuple[int, ...]
    is_signed: bool
    syntax: UID

    def datasets(self) -> list[Dataset]:
        by_place = build_datasets(self.spec)
        for dataset, distance, slope in zip(by_place, self.distances, self.slopes, strict=True):
            self._place(dataset, distance)
            dataset.RescaleSlope = slope
            dataset.PixelRepresentation = int(self.is_signed)
            dataset.RescaleIntercept = 0 if self.is_signed else -4000
            fill_pixels(dataset, ramp_value)
        return [by_place[k] for k in self.order]

    def _place(self, dataset: Dataset, distance: float) -> None:
        row, column = np.array(self.spec.row_cosine), np.array(self.spec.column_cosine)
        along = np.cross(row, column) + self.shear[0] * row + self.shear[1] * column
        position = self.spec.geometry.affine[:3, 3] + distance * along
        dataset.ImagePositionPatient = [round(float(x), 8) for x in position]


def specs() -> st.SearchStrategy[SeriesSpec]:
    def build(
        vector: tuple[float, ...], shape: tuple[int, int, int], spacing: tuple[float, float], step: float, **rest
    ):
        matrix = Rotation.from_rotvec(vector).as_matrix().round(10)
        return SeriesSpec(
            shape=shape,
            row_cosine=tuple(matrix[0].tolist()),
            column_cosine=tuple(matrix[1].tolist()),
            pixel_spacing=spacing,
            slice_spacing=step,
            **rest,
        )

    return st.builds(
        build,
        vector=st.tuples(*[rounded(-3, 3, 6)] * 3),
        shape=st.tuples(st.integers(2, 6), st.integers(6, 14), st.integers(6, 14)),
        spacing=st.tuples(rounded(0.3, 3, 4), rounded(0.3, 3, 4)),
        step=rounded(0.4, 8, 4),
        centre_lps_mm=st.tuples(*[rounded(-90, 90, 3)] * 3),
        modality=st.sampled_from(["CT", "MR"]),
    )


@st.composite
def scans(draw: st.DrawFn, *, tilted: bool = False, uneven: bool = False) -> Scan:
    spec = draw(specs())
    depth = spec.shape[0]
    jitter = draw(st.lists(rounded(-0.4, 0.4, 3), min_size=depth, max_size=depth)) if uneven else [0.0] * depth
    return Scan(
        spec=spec,
        slopes=tuple(draw(st.lists(st.sampled_from([0.125, 0.25, 0.3]), min_size=depth, max_size=depth))),
        distances=tuple((k + jitter[k]) * spec.slice_spacing for k in range(depth)),
        shear=draw(st.tuples(rounded(-0.5, 0.5, 4), rounded(-0.5, 0.5, 4))) if tilted else (0.0, 0.0),
        order=tuple(draw(st.permutations(range(depth)))),
        is_signed=draw(st.booleans()),
        syntax=draw(st.sampled_from(SYNTAXES)),
    )


def read(datasets: list[Dataset], syntax: UID = ExplicitVRLittleEndian) -> SourceSeries:
    with TemporaryDirectory() as folder:
        for dataset in datasets:
            encode(dataset, syntax)
        save_series(datasets, Path(folder))
        (series,) = index_study(Path(folder)).series
        return read_series(series, role="test")


def encode(dataset: Dataset, syntax: UID) -> None:
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax


def assert_ramp(source: SourceSeries, *, lost: NDArray[np.bool_] | bool = False, slack: float = 0.0) -> None:
    """Every voxel holds the ramp's value at its own millimetre, to half a rescale step and *slack*."""
    expected = ramp_value(grid_positions(source.volume.geometry))
    wrong = np.abs(source.volume.array - expected) > 0.16 + slack
    assert not (wrong & ~np.asarray(lost)).any()


@MANY
@given(scans())
def test_a_straight_stack_keeps_every_voxel_where_it_is(scan: Scan):
    source = read(scan.datasets(), scan.syntax)
    assert not source.is_resampled
    np.testing.assert_allclose(source.volume.geometry.affine, scan.spec.geometry.affine, atol=1e-6)
    assert_ramp(source)


@MANY
@given(scans())
def test_classic_and_enhanced_are_the_same_volume(scan: Scan):
    classic, enhanced = read(scan.datasets(), scan.syntax), read([merge_frames(scan.datasets())], scan.syntax)
    np.testing.assert_array_equal(enhanced.volume.array, classic.volume.array)
    np.testing.assert_allclose(enhanced.volume.geometry.affine, classic.volume.geometry.affine, atol=1e-9)


@MANY
@given(scans(tilted=True))
def test_a_tilted_stack_is_straightened_at_the_same_millimetres(scan: Scan):
    source = read(scan.datasets())
    directions = source.volume.geometry.directions
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-8)
    background = -1000.0 if scan.spec.modality == "CT" else source.volume.array.min()
    lost = source.volume.array == background
    # A tilt below the tolerance stays, by definition.
    slack = 0.0 if source.is_resampled else IN_PLANE_TOLERANCE_MM * RAMP_PER_MM
    assert_ramp(source, lost=lost, slack=slack)
    # One line at an edge may be lost in each direction, and no more.
    depth, rows, columns = scan.spec.shape
    assert (~lost).sum() >= depth * (rows - 1) * (columns - 1) - 1


@MANY
@given(scans(uneven=True))
def test_uneven_steps_are_read_right_or_refused(scan: Scan):
    steps = np.diff(scan.distances)
    ratio = steps.max() / steps.min()
    if ratio > MAX_STEP_RATIO + 1e-6 and len(steps) > 1:
        with pytest.raises(SeriesGeometryError, match="expected .* mm throughout"):
            read(scan.datasets())
    elif ratio < MAX_STEP_RATIO - 1e-6:
        source = read(scan.datasets())
        # A slice that is off by less than the tolerance stays where it is, by definition.
        slack = 0.0 if source.is_resampled else POSITION_TOLERANCE * steps.max() * RAMP_PER_MM
        assert_ramp(source, slack=slack)
        assert source.is_resampled == any("interpolated" in remark for remark in source.remarks)


@MANY
@given(scans(), st.data())
def test_a_missing_slice_is_never_interpolated_over(scan: Scan, data: st.DataObject):
    datasets = scan.datasets()
    places = [scan.order.index(k) for k in range(len(datasets))]
    if len(datasets) < 4:
        return
    missing = data.draw(st.integers(1, len(datasets) - 2))
    del datasets[places[missing]]
    with pytest.raises(SeriesGeometryError, match="1 missing between slices|the step changes"):
        read(datasets)


@settings(MANY, max_examples=40)
@given(scans())
def test_a_second_reader_sees_each_voxel_at_the_same_millimetre(scan: Scan):
    with TemporaryDirectory() as folder:
        save_series(scan.datasets(), Path(folder))
        (series,) = index_study(Path(folder)).series
        source = read_series(series, role="test")
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
        image = reader.Execute()
    ours = source.volume.geometry
    for corner in (np.zeros(3), np.array(ours.shape) - 1.0):
        there = image.TransformPhysicalPointToContinuousIndex(ours.positions(corner))
        # That reader may stack the slices the other way round; the millimetres are what counts.
        index = np.round(there).astype(int)
        np.testing.assert_allclose(there, index, atol=1e-3)
        np.testing.assert_allclose(
            image.TransformIndexToPhysicalPoint(index.tolist()), ours.positions(corner), atol=1e-3
        )
        if len(set(scan.slopes)) == 1:
            value = source.volume.array[tuple(corner.astype(int))]
            assert image[tuple(index.tolist())] == pytest.approx(value, rel=1e-5, abs=1e-3)
