"""A rigid or affine alignment as a Spatial Registration object."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SpatialRegistrationStorage

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.registration.series_pair import (
    content_based,
    image_references,
    registration_object,
)
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.stamping import stamp
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import FRAME_OF_REFERENCE_IDENTITY
from operators.domain.transform import Affine, Rigid

SERIES_NUMBER = 9601


def build_spatial_registration(
    fixed: SourceSeries, moving: SourceSeries, transform: Affine, *, run: RunContext
) -> Dataset:
    """A Spatial Registration (PS3.3 A.39.1, C.20.2).

    transform : fixed to moving, as a resampler wants it; the object says the inverse, because its matrices bring each
        item's frame into the registered one. Its frame is the fixed series'. Each item names its images, so that two
        series that share a frame of reference stay apart.
    """
    series_key = f"REG:{moving.series_instance_uid}:{fixed.series_instance_uid}"
    dataset = registration_object(
        fixed,
        moving,
        run=run,
        sop_class_uid=SpatialRegistrationStorage,
        series_key=series_key,
        series_number=SERIES_NUMBER,
        title="AI registration",
    )
    kind_of_matrix = "RIGID" if isinstance(transform, Rigid) else "AFFINE"
    dataset.RegistrationSequence = [
        _item(fixed, np.eye(4), "RIGID", [coded_concept(FRAME_OF_REFERENCE_IDENTITY)], shared=_shares(fixed, moving)),
        _item(moving, transform.inverse().matrix, kind_of_matrix, content_based(), shared=_shares(fixed, moving)),
    ]
    stamp(dataset, run, series_key=series_key)
    return dataset


def _shares(fixed: SourceSeries, moving: SourceSeries) -> bool:
    return fixed.volume.geometry.frame_of_reference_uid == moving.volume.geometry.frame_of_reference_uid


def _item(
    series: SourceSeries, matrix: NDArray[np.float64], kind: str, code: list[Dataset], *, shared: bool
) -> Dataset:
    """shared : the two series have one frame of reference, so that only the images tell which one moves"""
    step = Dataset()
    step.FrameOfReferenceTransformationMatrixType = kind
    step.FrameOfReferenceTransformationMatrix = row_major(matrix)
    registration = Dataset()
    registration.RegistrationTypeCodeSequence = code
    registration.MatrixSequence = [step]
    item = Dataset()
    if not shared:
        item.FrameOfReferenceUID = series.volume.geometry.frame_of_reference_uid
    item.ReferencedImageSequence = image_references(series)
    item.MatrixRegistrationSequence = [registration]
    return item


def row_major(matrix: NDArray[np.float64]) -> list[float]:
    """16 numbers, row after row, in as many digits as VR DS holds (PS3.5 6.2: 16 letters)."""
    return [float(f"{value:.8e}") for value in matrix.ravel()]
