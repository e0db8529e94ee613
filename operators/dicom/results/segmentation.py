"""Masks of one series to a DICOM Segmentation on that series' own slices."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from operators.dicom.results.coded_concepts import coded_concept
from operators.dicom.results.provenance import Provenance
from operators.dicom.results.source_headers import copy_character_set, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID, stamp
from operators.dicom.results.uids import RunIdentity
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Algorithm, Segment, SeriesSegments

SERIES_NUMBER = 9001
_GOLDEN_ANGLE_DEGREES = 137.508
"""Steps of this angle round the hue circle keep any few successive colours far apart."""


def build_segmentation(
    source: SourceSeries,
    segments: SeriesSegments,
    *,
    identity: RunIdentity,
    provenance: Provenance,
    heads: Mapping[str, Algorithm],
    now: datetime,
) -> Dataset:
    """One BINARY Segmentation with every segment of the series (PS3.3 A.51), Explicit VR Little Endian.

    heads : by the name that segments carry
    now : written as the content's date and time; nothing else depends on it
    """
    _check(source, segments)
    headers, _ = padded_headers([source.multi_frame] if source.multi_frame else source.headers)
    planes = _planes(source) if source.multi_frame else {}
    _set_slice_measures(headers[0], float(source.volume.geometry.spacing[0]))
    kind = f"SEG:{source.series_instance_uid}"
    description = provenance.series_description("AI segmentation")
    dataset: Dataset = hd.seg.Segmentation(
        source_images=headers,
        pixel_array=np.stack([segment.mask for segment in segments.segments], axis=-1, dtype=np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(segment, heads, provenance) for segment in segments.segments],
        series_instance_uid=identity.uid(kind),
        series_number=SERIES_NUMBER,
        sop_instance_uid=UNSTAMPED_UID,
        instance_number=1,
        manufacturer=provenance.manufacturer,
        manufacturer_model_name=provenance.model_name,
        software_versions=provenance.software_versions,
        device_serial_number=provenance.device_serial_number,
        contributing_equipment=[provenance.contributing_equipment()],
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        content_label="AI_RESEARCH",
        content_description=description,
        content_creator_name=f"{provenance.manufacturer}^",
        series_description=description,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
        specific_character_set=None,
        **planes,
    )
    copy_character_set(headers[0], dataset)
    _set_dimension_organization(dataset, identity.uid(f"{kind}:dimensions"))
    stamp(dataset, kind=kind, identity=identity, provenance=provenance, now=now)
    return dataset


def _check(source: SourceSeries, segments: SeriesSegments) -> None:
    if segments.series_instance_uid != source.series_instance_uid:
        raise ValueError(
            f"segments: expected those of series {source.series_instance_uid}, "
            f"got those of {segments.series_instance_uid}"
        )
    numbers = [segment.number for segment in segments.segments]
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        raise ValueError(f"segments: expected the numbers 1, 2, ... in order, got {numbers}")
    expected = source.volume.geometry.shape
    for segment in segments.segments:
        if segment.mask.shape != expected:
            raise ValueError(f"mask of {segment.label}: expected shape {expected}, got {segment.mask.shape}")
        if not segment.mask.any():
            raise ValueError(f"mask of {segment.label}: empty; say absent in the report instead")


def _planes(source: SourceSeries) -> dict[str, Any]:
    """Where the masks lie, for frames of one object: the volume may hold them in another order, or not all of them."""
    geometry, patient = source.volume.geometry, hd.CoordinateSystemNames.PATIENT
    corners = geometry.positions(np.arange(geometry.shape[0])[:, None] * np.array([1, 0, 0]))
    return {
        "plane_positions": [hd.PlanePositionSequence(patient, corner.tolist()) for corner in corners],
        "plane_orientation": hd.PlaneOrientationSequence(patient, geometry.directions[:, [2, 1]].T.ravel().tolist()),
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=geometry.spacing[1:].tolist(),
            slice_thickness=float(geometry.spacing[0]),
            spacing_between_slices=float(geometry.spacing[0]),
        ),
    }


def _set_slice_measures(header: Dataset, slice_spacing: float) -> None:
    """Let the Pixel Measures say the measured spacing: highdicom copies them from the first header, where they may be
    missing (slice thickness is type 2) or wrong.
    """
    header.SpacingBetweenSlices = DSfloat(slice_spacing, auto_format=True)
    if not header.get("SliceThickness"):
        header.SliceThickness = header.SpacingBetweenSlices


def _description(segment: Segment, heads: Mapping[str, Algorithm], provenance: Provenance) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=coded_concept(segment.category),
        segmented_property_type=coded_concept(segment.type),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=provenance.segment_algorithm(heads[segment.head]),
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id,
        display_color=segment_color(segment.number),
    )
    description.SegmentDescription = provenance.use_statement
    return description


def segment_color(number: int) -> hd.color.CIELabColor:
    """A colour that the neighbouring numbers do not resemble: hue by the golden angle, lightness in turns."""
    hue = math.radians(_GOLDEN_ANGLE_DEGREES * number)
    return hd.color.CIELabColor(55.0 + 15.0 * (number % 3), 55.0 * math.cos(hue), 55.0 * math.sin(hue))


def _set_dimension_organization(dataset: Dataset, uid: str) -> None:
    """highdicom draws this UID at random, which would make equal runs differ."""
    for item in [*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence]:
        item.DimensionOrganizationUID = uid
