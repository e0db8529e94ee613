"""Masks of one series to a DICOM Segmentation on that series' own slices."""

from collections.abc import Callable, Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.charset import convert_encodings, default_encoding
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from operators.dicom.results.carried import CARRIED
from operators.dicom.results.codes import coded_concept
from operators.dicom.results.frame_planes import set_slice_measures
from operators.dicom.results.provenance import Provenance
from operators.dicom.results.references import distinct_instances, instance_reference, study_references
from operators.dicom.results.result_settings import SegmentationType
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.segmentation.colors import segment_colors
from operators.dicom.results.segmentation.extents import Extent, extent_of
from operators.dicom.results.segmentation.frame_groups import encode_frame_groups, encode_references
from operators.dicom.results.segmentation.frames import (
    MAXIMUM_FRACTIONAL_VALUE,
    SegmentFrames,
    binary_frames,
    fractional_frames,
    hidden_voxels,
    label_map,
    label_map_frames,
)
from operators.dicom.results.source_headers import copy_character_set, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID, stamp
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Algorithm
from operators.domain.segment import Segment, SeriesSegments

SERIES_NUMBER = 9001
CARRIED_SERIES_NUMBER = 9002


def build_segmentation(
    source: SourceSeries,
    segments: SeriesSegments,
    *,
    run: RunContext,
    segmentation_type: SegmentationType = "BINARY",
    carried_from: Sequence[Dataset] = (),
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """One Segmentation with every segment of the series (PS3.3 A.51; Supplement 243 for LABELMAP).

    Where segments of a LABELMAP overlap the one with the higher number is stored; the others say so in their
    description. FRACTIONAL holds the segments' probabilities, everywhere and not only within the masks.

    carried_from : the earlier objects that the masks were brought over from by registration, rather than seen here; the
        object then is one of its own, and each segment says so
    warn : called with a sentence for each segment that loses voxels to another one
    """
    _check(source, segments, segmentation_type)
    extents = [extent_of(segment.mask) for segment in segments.segments]
    _check_occupied(segments, extents)
    frames, losses = _frames(segments, extents, segmentation_type)
    series_key = ":".join(["SEG", source.series_instance_uid, *_origins(carried_from)])
    colors = segment_colors(extents, [segment.type.value for segment in segments.segments])
    origin = f"{CARRIED} " if carried_from else ""
    descriptions = [
        _description(segment, color, f"{origin}{loss}", provenance=run.provenance, head=run.heads[segment.head])
        for segment, color, loss in zip(segments.segments, colors, losses, strict=True)
    ]
    header = _first_slice(source)
    template = _template(
        header,
        descriptions,
        segmentation_type,
        series_instance_uid=run.identity.uid(series_key),
        series_number=CARRIED_SERIES_NUMBER if carried_from else SERIES_NUMBER,
        provenance=run.provenance,
        creator=run.person,
        title="AI prior segments" if carried_from else "Marked region" if run.is_marked else "AI segmentation",
    )
    dataset = Dataset(template)  # no longer highdicom's class, whose tables describe the template's one frame
    dataset.file_meta = template.file_meta
    copy_character_set(header, dataset)
    if not source.is_resampled:
        _mark_regular_stack(dataset, frames)
    _set_frames(dataset, frames, source)
    if carried_from:
        # General Reference (PS3.3 C.12.4)
        dataset.SourceInstanceSequence = [instance_reference(source) for source in distinct_instances(carried_from)]
        dataset.StudiesContainingOtherReferencedInstancesSequence = study_references(carried_from)
    stamp(dataset, run, series_key=series_key)
    for loss in filter(None, losses):
        warn(f"SEG of series {source.series_instance_uid}: {loss}")
    return dataset


def _origins(carried_from: Sequence[Dataset]) -> list[str]:
    """Tell the objects of several priors apart, and all of them from what was seen here."""
    return sorted({f"carried from {header.SeriesInstanceUID}" for header in carried_from})


def _check(source: SourceSeries, segments: SeriesSegments, segmentation_type: SegmentationType) -> None:
    if segments.series_instance_uid != source.series_instance_uid:
        raise ValueError(
            f"segments: expected those of series {source.series_instance_uid}, "
            f"got those of {segments.series_instance_uid}"
        )
    numbers = [segment.number for segment in segments.segments]
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        raise ValueError(f"segments: expected the numbers 1, 2, ... in order, got {numbers}")
    first = source.headers[0]
    expected = (len(source.headers), int(first.Rows), int(first.Columns))
    for segment in segments.segments:
        if segment.mask.shape != expected:
            raise ValueError(f"mask of {segment.label}: expected shape {expected}, got {segment.mask.shape}")
        if segmentation_type == "FRACTIONAL" and segment.probability is None:
            raise ValueError(f"{segment.label}: a FRACTIONAL segmentation needs its probability; ask the heads for it")


def _check_occupied(segments: SeriesSegments, extents: list[Extent]) -> None:
    for segment, extent in zip(segments.segments, extents, strict=True):
        if not extent.slices.size:
            raise ValueError(f"mask of {segment.label}: empty; say absent in the report instead")


def _frames(
    segments: SeriesSegments, extents: list[Extent], segmentation_type: SegmentationType
) -> tuple[SegmentFrames, tuple[str, ...]]:
    """The frames, and for each segment what the others hide of it, in plain words; empty where nothing is hidden."""
    masks: list[NDArray[np.bool_]] = [segment.mask for segment in segments.segments]
    nothing_lost = ("",) * len(masks)
    if segmentation_type == "BINARY":
        return binary_frames(masks, extents), nothing_lost
    if segmentation_type == "FRACTIONAL":
        return fractional_frames([segment.probability for segment in segments.segments]), nothing_lost
    labels = label_map(masks, extents)
    hidden = zip(segments.segments, hidden_voxels(masks, extents, labels), strict=True)
    return label_map_frames(labels), tuple(_loss(segment, count) for segment, count in hidden)


def _loss(segment: Segment, num_voxels: int) -> str:
    overlap = f"{num_voxels} voxels of segment {segment.number} are shown as others, because a label map has no overlap"
    return overlap if num_voxels else ""


def _first_slice(source: SourceSeries) -> Dataset:
    """What highdicom shall take patient, study and plane from.

    A frame of an enhanced object is shown as the classic slice it amounts to: references to it are our own, and its
    functional groups, shared or per frame, are laid over its header already.
    """
    (header, *_), _ = padded_headers(source.headers[:1])
    if source.frame_numbers:
        header.SOPClassUID = CTImageStorage
    set_slice_measures(header, float(source.volume.geometry.spacing[0]), is_even=source.has_even_steps)
    return header


def _template(
    header: Dataset,
    descriptions: list[hd.seg.SegmentDescription],
    segmentation_type: SegmentationType,
    *,
    series_instance_uid: str,
    series_number: int,
    provenance: Provenance,
    creator: str,
    title: str,
) -> hd.seg.Segmentation:
    """The object with one frame: everything but references, frames and dates."""
    description = provenance.series_description(title)
    return hd.seg.Segmentation(
        source_images=[header],
        pixel_array=np.ones((1, header.Rows, header.Columns), np.uint8),
        segmentation_type=segmentation_type,
        segment_descriptions=descriptions,
        series_instance_uid=series_instance_uid,
        series_number=series_number,
        sop_instance_uid=UNSTAMPED_UID,
        instance_number=1,
        manufacturer=provenance.manufacturer,
        manufacturer_model_name=provenance.model_name,
        software_versions=provenance.software_versions,
        device_serial_number=provenance.device_serial_number,
        max_fractional_value=MAXIMUM_FRACTIONAL_VALUE,
        contributing_equipment=[provenance.contributing_equipment()],
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        content_label="AI_RESEARCH",
        content_description=description,
        content_creator_name=creator or f"{provenance.manufacturer}^",
        series_description=description,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=None,
    )


def _mark_regular_stack(dataset: Dataset, frames: SegmentFrames) -> None:
    slices = frames.slices[0]
    if len(frames.slices) == 1 and len(slices) > 1 and (np.diff(slices) == 1).all():
        dataset.DimensionOrganizationType = "3D"


def _set_frames(dataset: Dataset, frames: SegmentFrames, source: SourceSeries) -> None:
    dataset.NumberOfFrames = frames.num_frames
    dataset.SegmentsOverlap = frames.segments_overlap
    dataset.PixelData = frames.pixels
    correct_ambiguous_vr(dataset, is_little_endian=True)
    groups = encode_frame_groups(frames, source, indexes_segments=dataset.SegmentationType != "LABELMAP")
    for element in (groups, *encode_references(source)):
        dataset[element.tag] = element
    # Says that what is encoded already is so in the file's way; otherwise pydicom decodes it to encode it again.
    character_set = dataset.get("SpecificCharacterSet")
    encoding = convert_encodings(character_set) if character_set else default_encoding
    dataset.set_original_encoding(False, True, encoding)


def _description(
    segment: Segment, color: tuple[float, float, float], remark: str, *, provenance: Provenance, head: Algorithm
) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=coded_concept(segment.category),
        segmented_property_type=coded_concept(segment.type),
        algorithm_type="SEMIAUTOMATIC" if segment.is_prompted else "AUTOMATIC",
        algorithm_identification=provenance.segment_algorithm(head),
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id,
        display_color=hd.color.CIELabColor(*color),
    )
    description.SegmentDescription = f"{provenance.use_statement} {remark}".rstrip()
    return description
