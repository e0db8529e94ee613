"""What a Segmentation repeats for each of its frames and source images, encoded at once."""

from collections.abc import Iterator

from pydicom.dataelem import RawDataElement
from pydicom.valuerep import DSfloat

from operators.dicom.results.segmentation.explicit_vr import element, item, raw_sequence, sequence
from operators.dicom.results.segmentation.frames import SegmentFrames
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import SEGMENTATION, SOURCE_IMAGE, Code


def encode_frame_groups(frames: SegmentFrames, source: SourceSeries, *, indexes_segments: bool) -> RawDataElement:
    """Per-frame Functional Groups: derivation, frame content, plane position and segment (PS3.3 A.51.5).

    A single segment stands in the shared functional groups instead, and a label map's frames have none.

    indexes_segments : a frame's dimension index values are segment and place along the slices, otherwise the place
    """
    return raw_sequence("PerFrameFunctionalGroupsSequence", *_frame_items(frames, source, indexes_segments))


def encode_references(source: SourceSeries) -> tuple[RawDataElement, RawDataElement]:
    """Every object of the source: Source Image Sequence, and Common Instance Reference (PS3.3 C.12.2)."""
    objects = dict.fromkeys(_reference(source, k) for k in range(len(source.headers)))
    items = [item(reference) for reference in objects]
    series = element("SeriesInstanceUID", source.series_instance_uid)
    return (
        raw_sequence("SourceImageSequence", *items),
        raw_sequence("ReferencedSeriesSequence", item(sequence("ReferencedInstanceSequence", *items), series)),
    )


def _frame_items(frames: SegmentFrames, source: SourceSeries, indexes_segments: bool) -> Iterator[bytes]:
    used = sorted({int(k) for slices in frames.slices for k in slices})
    rank = {k: number for number, k in enumerate(used, start=1)}
    derivations, positions = ({k: encode(source, k) for k in used} for encode in (_derivation, _position))
    for number, slices in enumerate(frames.slices, start=1):
        segment = _segment(number) if len(frames.slices) > 1 else b""
        for k in slices.tolist():
            indices = (number, rank[k]) if indexes_segments else (rank[k],)
            content = sequence("FrameContentSequence", item(element("DimensionIndexValues", *indices)))
            yield item(derivations[k], content, positions[k], segment)


def _derivation(source: SourceSeries, k: int) -> bytes:
    image = item(
        _reference(source, k),
        element("ReferencedFrameNumber", source.frame_numbers[k]) if source.frame_numbers else b"",
        element("SpatialLocationsPreserved", "YES"),
        sequence("PurposeOfReferenceCodeSequence", _code(SOURCE_IMAGE)),
    )
    derivation = sequence("DerivationCodeSequence", _code(SEGMENTATION))
    return sequence("DerivationImageSequence", item(sequence("SourceImageSequence", image), derivation))


def _position(source: SourceSeries, k: int) -> bytes:
    corner = (str(DSfloat(x, auto_format=True)) for x in source.headers[k].ImagePositionPatient)
    return sequence("PlanePositionSequence", item(element("ImagePositionPatient", *corner)))


def _segment(number: int) -> bytes:
    return sequence("SegmentIdentificationSequence", item(element("ReferencedSegmentNumber", number)))


def _reference(source: SourceSeries, k: int) -> bytes:
    header = source.headers[k]
    kind = element("ReferencedSOPClassUID", header.SOPClassUID)
    return kind + element("ReferencedSOPInstanceUID", header.SOPInstanceUID)


def _code(code: Code) -> bytes:
    return item(
        element("CodeValue", code.value),
        element("CodingSchemeDesignator", code.scheme),
        element("CodeMeaning", code.meaning),
    )
