"""The report's list of the images it was made from (TID 1600)."""

from collections.abc import Iterator, Sequence

import highdicom as hd
from pydicom import Dataset

from operators.dicom.results.coded_concepts import IMAGE_LIBRARY, IMAGE_LIBRARY_GROUP, SOURCE, coded_concept
from operators.dicom.results.report.content_items import container
from operators.dicom.study.header_values import numbers_of
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Code

_RELATIONSHIP = hd.sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
_MODALITY = Code("121139", "DCM", "Modality")
_MODALITIES = {
    # CID 29
    "CT": Code("CT", "DCM", "Computed Tomography"),
    "MR": Code("MR", "DCM", "Magnetic Resonance"),
    "PT": Code("PT", "DCM", "Positron emission tomography"),
}
_FRAME_OF_REFERENCE = Code("112227", "DCM", "Frame of Reference UID")
_PIXELS, _MILLIMETRE, _RATIO = (
    Code("{pixels}", "UCUM", "pixels"),
    Code("mm", "UCUM", "mm"),
    Code("{-1:1}", "UCUM", "{-1:1}"),
)
_NUMBERS = (
    # TID 1602 and 1604 in their order, but for the position, which the images of a series do not share:
    # name, attribute and which of its values, unit
    (Code("110910", "DCM", "Pixel Data Rows"), "Rows", 0, _PIXELS),
    (Code("110911", "DCM", "Pixel Data Columns"), "Columns", 0, _PIXELS),
    (Code("111026", "DCM", "Horizontal Pixel Spacing"), "PixelSpacing", 1, _MILLIMETRE),
    (Code("111066", "DCM", "Vertical Pixel Spacing"), "PixelSpacing", 0, _MILLIMETRE),
    (Code("112226", "DCM", "Spacing between slices"), "SpacingBetweenSlices", 0, _MILLIMETRE),
    (Code("112225", "DCM", "Slice Thickness"), "SliceThickness", 0, _MILLIMETRE),
    (Code("110904", "DCM", "Image Orientation (Patient) Row X"), "ImageOrientationPatient", 0, _RATIO),
    (Code("110905", "DCM", "Image Orientation (Patient) Row Y"), "ImageOrientationPatient", 1, _RATIO),
    (Code("110906", "DCM", "Image Orientation (Patient) Row Z"), "ImageOrientationPatient", 2, _RATIO),
    (Code("110907", "DCM", "Image Orientation (Patient) Column X"), "ImageOrientationPatient", 3, _RATIO),
    (Code("110908", "DCM", "Image Orientation (Patient) Column Y"), "ImageOrientationPatient", 4, _RATIO),
    (Code("110909", "DCM", "Image Orientation (Patient) Column Z"), "ImageOrientationPatient", 5, _RATIO),
)


def image_library(sources: Sequence[SourceSeries]) -> hd.sr.ContainerContentItem:
    """One group per series, with what its images share said once.

    highdicom's own library repeats fifteen items for every image, which for 300 slices takes most of the report's
    size and time.
    """
    return container(IMAGE_LIBRARY, [_group(source) for source in sources], template_id="1600")


def _group(source: SourceSeries) -> hd.sr.ContainerContentItem:
    # All frames of a multi-frame image are one entry.
    instances = {str(header.SOPInstanceUID): header for header in source.headers}
    images = [
        hd.sr.ImageContentItem(
            name=coded_concept(SOURCE),
            referenced_sop_class_uid=header.SOPClassUID,
            referenced_sop_instance_uid=header.SOPInstanceUID,
            relationship_type="CONTAINS",
        )
        for header in instances.values()
    ]
    return container(IMAGE_LIBRARY_GROUP, [*_shared_descriptors(source.headers[0]), *images])


def _shared_descriptors(header: Dataset) -> Iterator[hd.sr.ContentItem]:
    """TID 1602 and 1604, as far as the header has their attributes."""
    if header.Modality in _MODALITIES:
        modality = coded_concept(_MODALITIES[header.Modality])
        yield hd.sr.CodeContentItem(coded_concept(_MODALITY), modality, relationship_type=_RELATIONSHIP)
    if header.get("FrameOfReferenceUID"):
        frame = header.FrameOfReferenceUID
        yield hd.sr.UIDRefContentItem(coded_concept(_FRAME_OF_REFERENCE), frame, relationship_type=_RELATIONSHIP)
    for name, keyword, index, unit in _NUMBERS:
        found = numbers_of(header, keyword)
        if len(found) > index:
            yield hd.sr.NumContentItem(
                coded_concept(name), found[index], coded_concept(unit), relationship_type=_RELATIONSHIP
            )
