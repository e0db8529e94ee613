"""Synthetic CT and MR series whose every voxel has a closed-form value.

A ``SeriesSpec`` says how a scanner would have cut the patient (orientation, spacings, order, rescale, character
set); the phantom itself lives in patient space, so that the truth at any LPS position is a formula and never
another piece of our code::

    spec = SeriesSpec(row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], pixel_spacing=(1.5, 0.8))
    datasets = build_datasets(spec)                  # complete pydicom datasets, pixels included
    save_series(datasets, folder)                    # Part 10 files, Explicit VR Little Endian
    build_enhanced(spec)                             # the same slices as frames of one enhanced object
    phantom_value(positions_lps_mm)                  # (..., 3) -> (...) in HU, what the voxels hold
    phantom_mask(positions_lps_mm, "mass")           # (..., 3) -> (...) bool, one of the bodies in BODIES
    source = build_source_series(spec)               # the SourceSeries a correct reader makes of it

No two of the bodies mirror one another along any axis, so a flipped, swapped or shifted axis always shows.
Values in the files are rounded to the step ``rescale_slope``. ``value`` of ``build_datasets`` takes another
closed form, such as ``ramp_value``, which is linear in LPS and so survives trilinear resampling exactly.
"""

import itertools
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume

AIR_HU = -1000.0
BODIES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    # name: (centre in LPS mm, radii in mm, HU); later bodies lie inside earlier ones and win
    "trunk": ((0.0, 0.0, 0.0), (30.0, 22.0, 26.0), 40.0),
    "lung": ((-11.0, -5.0, 6.0), (10.0, 9.0, 12.0), -800.0),
    "bone": ((3.0, 13.0, -4.0), (5.0, 4.0, 15.0), 700.0),
    "mass": ((14.0, -4.0, -8.0), (8.0, 6.0, 7.0), 120.0),
}

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
OBLIQUE = ((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8))
"""Row and column cosines, turned about two axes (3-4-5 triangles, so exactly orthonormal)."""

Vector = tuple[float, float, float]
ClosedForm = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """How the phantom is cut into slices.

    pixel_spacing : mm between rows, then between columns, as DICOM's PixelSpacing
    slice_spacing : mm between neighbouring slices
    descending : instance numbers run against the cross product of the two cosines
    centre_lps_mm : where the middle of the grid lies
    study, series : any words; every UID is a function of them, and datasets of one study agree
    """

    modality: str = "CT"
    shape: tuple[int, int, int] = (20, 48, 80)
    row_cosine: Vector = (1.0, 0.0, 0.0)
    column_cosine: Vector = (0.0, 1.0, 0.0)
    pixel_spacing: tuple[float, float] = (1.2, 0.9)
    slice_spacing: float = 3.0
    centre_lps_mm: Vector = (1.5, -1.0, 2.0)
    descending: bool = False
    rescale_slope: float = 1.0
    rescale_intercept: float = -1024.0
    patient_id: str = "PHANTOM-1"
    patient_name: str = "Phantom^Asymmetric"
    character_set: str | list[str] = "ISO_IR 192"
    study: str = "study"
    series: str = "series"
    series_number: int = 3
    series_description: str = "Phantom"

    def uid(self, kind: str) -> str:
        return str(generate_uid(entropy_srcs=["curia phantom", self.study, kind]))

    @property
    def series_instance_uid(self) -> str:
        return self.uid(self.series)

    @property
    def geometry(self) -> Geometry:
        """The grid, slices ascending along the cross product of row and column cosines."""
        row, column = np.array(self.row_cosine), np.array(self.column_cosine)
        affine = np.eye(4)
        affine[:3, 0] = np.cross(row, column) * self.slice_spacing
        affine[:3, 1] = column * self.pixel_spacing[0]
        affine[:3, 2] = row * self.pixel_spacing[1]
        middle = (np.array(self.shape) - 1) / 2
        affine[:3, 3] = np.array(self.centre_lps_mm) - affine[:3, :3] @ middle
        return Geometry(affine, self.shape, self.uid("frame of reference"))


def grid_positions(geometry: Geometry) -> NDArray[np.float64]:
    """(D, H, W, 3) LPS mm of every voxel centre."""
    return geometry.positions(np.stack(np.indices(geometry.shape), axis=-1))


def phantom_mask(positions: NDArray[np.float64], body: str) -> NDArray[np.bool_]:
    """(..., 3) LPS mm to (...) bool: inside the ellipsoid *body*."""
    centre, radii, _ = BODIES[body]
    return np.asarray(np.sum(((positions - centre) / radii) ** 2, axis=-1) <= 1.0)


def phantom_value(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) LPS mm to (...) HU."""
    value = np.full(positions.shape[:-1], AIR_HU)
    for body, (_, _, hounsfield) in BODIES.items():
        value[phantom_mask(positions, body)] = hounsfield
    return value


def ramp_value(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) LPS mm to (...): linear, with another slope along each axis."""
    return np.asarray(100.0 + positions @ np.array([2.0, -3.0, 5.0]))


def build_datasets(spec: SeriesSpec, value: ClosedForm = phantom_value) -> list[Dataset]:
    """One dataset per slice, in the order of their instance numbers."""
    voxels = value(grid_positions(spec.geometry))
    stored = np.round((voxels - spec.rescale_intercept) / spec.rescale_slope).astype("<i2")
    order = range(spec.shape[0])[:: -1 if spec.descending else 1]
    return [_slice_dataset(spec, index=k, number=n, stored=stored[k]) for n, k in enumerate(order, start=1)]


def build_uneven(
    spec: SeriesSpec, distances: Sequence[float], thicknesses: Sequence[float], value: ClosedForm = phantom_value
) -> list[Dataset]:
    """Slices at any *distances* (mm along the normal from the spec's first slice), each of its thickness."""
    datasets = build_datasets(replace(spec, shape=(len(distances), *spec.shape[1:]), descending=False))
    first = spec.geometry.affine[:3, 3]
    for dataset, distance, thickness in zip(datasets, distances, thicknesses, strict=True):
        position = first + distance * spec.geometry.directions[:, 0]
        dataset.ImagePositionPatient = [round(float(x), 6) for x in position]
        dataset.SliceThickness = thickness
        del dataset.SpacingBetweenSlices
        fill_pixels(dataset, value)
    return datasets


def fill_pixels(dataset: Dataset, value: ClosedForm) -> None:
    """Store the values of *value* at the places that the slice's own header gives its pixels."""
    row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
    rows, columns = np.indices((dataset.Rows, dataset.Columns))[..., None]
    row_spacing, column_spacing = (float(spacing) for spacing in dataset.PixelSpacing)
    origin = np.array(dataset.ImagePositionPatient, float)
    voxels = value(origin + rows * row_spacing * column + columns * column_spacing * row)
    stored = np.round((voxels - float(dataset.RescaleIntercept)) / float(dataset.RescaleSlope))
    dataset.PixelData = stored.astype("<i2" if dataset.PixelRepresentation else "<u2").tobytes()


def build_enhanced(spec: SeriesSpec, value: ClosedForm = phantom_value) -> Dataset:
    """The same slices as one enhanced multi-frame object."""
    return merge_frames(build_datasets(spec, value))


def merge_frames(slices: Sequence[Dataset]) -> Dataset:
    """Classic slices as frames of one enhanced object, with what all share in the shared functional groups."""
    dataset = deepcopy(slices[0])
    for keyword in itertools.chain(*_SHARED_MACROS.values(), *_FRAME_MACROS.values()):
        dataset.pop(keyword, None)
    dataset.SOPClassUID = EnhancedCTImageStorage if dataset.Modality == "CT" else EnhancedMRImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["enhanced", slices[0].SOPInstanceUID])
    dataset.NumberOfFrames = len(slices)
    dataset.SharedFunctionalGroupsSequence = [_functional_group(slices[0], _SHARED_MACROS)]
    dataset.PerFrameFunctionalGroupsSequence = [_functional_group(item, _FRAME_MACROS) for item in slices]
    dataset.PixelData = b"".join(item.PixelData for item in slices)
    return dataset


def save_series(datasets: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write each dataset as ``<SOP Instance UID>.dcm``; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{dataset.SOPInstanceUID}.dcm" for dataset in datasets]
    for dataset, path in zip(datasets, paths, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return paths


def build_source_series(
    spec: SeriesSpec, value: ClosedForm = phantom_value, header: Callable[[Dataset], None] = lambda header: None
) -> SourceSeries:
    """What a correct reader makes of the series, by formula: closed-form values, headers without pixels.

    header : changes each of them
    """
    headers = build_datasets(spec, value)
    for one in headers:
        del one.PixelData
        header(one)
    volume = Volume(value(grid_positions(spec.geometry)).astype(np.float32), spec.geometry)
    ordered = tuple(reversed(headers)) if spec.descending else tuple(headers)
    return SourceSeries(spec.series_instance_uid, spec.modality, "phantom", volume, ordered, "0" * 64)


_SHARED_MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
}
_FRAME_MACROS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
}


def _functional_group(source: Dataset, macros: dict[str, tuple[str, ...]]) -> Dataset:
    group = Dataset()
    for macro, keywords in macros.items():
        item = Dataset()
        for keyword in keywords:
            if keyword in source:
                setattr(item, keyword, source[keyword].value)
        setattr(group, macro, [item])
    return group


def _slice_dataset(spec: SeriesSpec, *, index: int, number: int, stored: NDArray[np.int16]) -> Dataset:
    dataset = Dataset()
    dataset.update(_common_attributes(spec))
    dataset.update(_ct_attributes() if spec.modality == "CT" else _mr_attributes())
    dataset.SOPInstanceUID = spec.uid(f"{spec.series} slice {index}")
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [round(x, 6) for x in spec.geometry.positions(np.array([index, 0, 0]))]
    dataset.ImageOrientationPatient = [*spec.row_cosine, *spec.column_cosine]
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelData = stored.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _common_attributes(spec: SeriesSpec) -> dict[str, object]:
    dates = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), "20240131")
    times = dict.fromkeys(("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"), "101112")
    return dates | times | {
        "SpecificCharacterSet": spec.character_set, "PatientID": spec.patient_id, "AccessionNumber": "A1",
        "PatientName": spec.patient_name, "PatientBirthDate": "19500607", "PatientSex": "O", "StudyID": "S1",
        "ReferringPhysicianName": "", "StudyDescription": "Phantom study", "Manufacturer": "Phantom",
        "ManufacturerModelName": "Asymmetric", "StudyInstanceUID": spec.uid("study"),
        "SeriesInstanceUID": spec.series_instance_uid, "SeriesNumber": spec.series_number,
        "SeriesDescription": spec.series_description, "Modality": spec.modality, "AcquisitionNumber": 1,
        "BodyPartExamined": "CHEST", "PatientPosition": "HFS", "PositionReferenceIndicator": "",
        "FrameOfReferenceUID": spec.uid("frame of reference"), "PixelSpacing": list(spec.pixel_spacing),
        "SliceThickness": spec.slice_spacing, "SpacingBetweenSlices": spec.slice_spacing, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1, "RescaleSlope": spec.rescale_slope,
        "RescaleIntercept": spec.rescale_intercept,
    }  # fmt: skip


def _ct_attributes() -> dict[str, object]:
    return {
        "SOPClassUID": CTImageStorage, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "KVP": 120,
        "RescaleType": "HU", "ConvolutionKernel": "B30f", "WindowCenter": 40, "WindowWidth": 400,
    }  # fmt: skip


def _mr_attributes() -> dict[str, object]:
    return {
        "SOPClassUID": MRImageStorage, "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"], "EchoTrainLength": 1,
        "ScanningSequence": "SE", "SequenceVariant": "NONE", "ScanOptions": "", "MRAcquisitionType": "2D",
        "EchoTime": 10, "RepetitionTime": 500, "MagneticFieldStrength": 1.5,
    }  # fmt: skip
