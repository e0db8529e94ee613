"""The phantom as a scanner cuts it with a tilted gantry or with steps that differ, read as a study is."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.source_series import SourceSeries
from operators.dicom.volumes.volume_reader import read_series
from phantoms import (
    BODIES,
    ClosedForm,
    SeriesSpec,
    build_datasets,
    fill_pixels,
    grid_positions,
    phantom_value,
    save_series,
)

SPEC = SeriesSpec(shape=(24, 60, 80), slice_spacing=2.5)
VOXEL_MM = 1.5
"""Half the diagonal of its voxels: nothing on the grid is told more exactly."""


def tilted(datasets: Sequence[Dataset], slope: float = 0.25) -> None:
    """Slices that start further back the higher they lie: 14 degrees."""
    for dataset in datasets:
        x, y, z = map(float, dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, round(y + slope * z, 6), z]
        fill_pixels(dataset, phantom_value)


def uneven(datasets: Sequence[Dataset]) -> None:
    """Thin slices above thick ones, as heads are cut, and the thickness says so."""
    steps = np.where(np.arange(len(datasets)) < len(datasets) // 2, 1.5, 3.5)
    heights = np.cumsum(steps) - steps
    heights += float(datasets[0].ImagePositionPatient[2])
    for dataset, height, step in zip(datasets, heights, steps, strict=True):
        dataset.ImagePositionPatient[2] = round(float(height), 6)
        dataset.SliceThickness = float(step)
        del dataset.SpacingBetweenSlices
        fill_pixels(dataset, phantom_value)


def both(datasets: Sequence[Dataset]) -> None:
    uneven(datasets)
    tilted(datasets)


STACKS: dict[str, Callable[[Sequence[Dataset]], None]] = {"tilted": tilted, "uneven": uneven, "tilted, uneven": both}


def on_planes(source: SourceSeries, form: ClosedForm) -> NDArray[Any]:
    """(slices, rows, columns): a closed form at the places that the slices' own headers give their pixels."""
    return np.concatenate([form(grid_positions(plane)) for plane in source.slice_planes])


def body_on_planes(source: SourceSeries, body: str, grown_mm: float) -> NDArray[np.bool_]:
    """Likewise, whether a pixel is in one of the phantom's bodies, its radii so much longer or shorter."""
    centre, radii, _ = BODIES[body]
    grown = np.array(radii) + grown_mm
    return on_planes(source, lambda positions: np.sum(((positions - centre) / grown) ** 2, axis=-1) <= 1.0)


def read_stack(name: str) -> SourceSeries:
    """The series, whose volume had to be resampled."""
    datasets = build_datasets(SPEC)
    STACKS[name](datasets)
    with tempfile.TemporaryDirectory() as folder:
        save_series(datasets, Path(folder))
        (series,) = index_study(Path(folder)).series
        source = read_series(series, role="phantom")
    assert source.is_resampled
    return source
