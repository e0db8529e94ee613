"""The report's list of the images it was made from (TID 1600)."""

from collections.abc import Iterator, Sequence

import highdicom as hd
from pydicom import Dataset

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.report.content_items import container
from operators.dicom.study.header_values import numbers_of, text_of
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import (
    FRAME_OF_REFERENCE_UID,
    FROM_MINUS_ONE_TO_ONE,
    HORIZONTAL_PIXEL_SPACING,
    IMAGE_LIBRARY,
    IMAGE_LIBRARY_GROUP,
    IMAGE_ORIENTATION,
    MILLIMETRE,
    MODALITIES,
    MODALITY,
    PIXEL_DATA_COLUMNS,
    PIXEL_DATA_ROWS,
    PIXELS,
    SLICE_THICKNESS,
    SOURCE,
    SPACING_BETWEEN_SLICES,
    VERTICAL_PIXEL_SPACING,
)

_RELATIONSHIP = hd.sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
_NUMBERS = (
    # TID 1602 and 1604 in their order, but for the position, which the images of a series do not share:
    # name, attribute and which of its values, unit
    (PIXEL_DATA_ROWS, "Rows", 0, PIXELS),
    (PIXEL_DATA_COLUMNS, "Columns", 0, PIXELS),
    (HORIZONTAL_PIXEL_SPACING, "PixelSpacing", 1, MILLIMETRE),
    (VERTICAL_PIXEL_SPACING, "PixelSpacing", 0, MILLIMETRE),
    (SPACING_BETWEEN_SLICES, "SpacingBetweenSlices", 0, MILLIMETRE),
    (SLICE_THICKNESS, "SliceThickness", 0, MILLIMETRE),
    *((name, "ImageOrientationPatient", index, FROM_MINUS_ONE_TO_ONE) for index, name in enumerate(IMAGE_ORIENTATION)),
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
    modality = MODALITIES.get(text_of(header, "Modality"))
    if modality is not None:
        yield hd.sr.CodeContentItem(coded_concept(MODALITY), coded_concept(modality), relationship_type=_RELATIONSHIP)
    if header.get("FrameOfReferenceUID"):
        frame = header.FrameOfReferenceUID
        yield hd.sr.UIDRefContentItem(coded_concept(FRAME_OF_REFERENCE_UID), frame, relationship_type=_RELATIONSHIP)
    for name, keyword, index, unit in _NUMBERS:
        found = numbers_of(header, keyword)
        if len(found) > index:
            yield hd.sr.NumContentItem(
                coded_concept(name), found[index], coded_concept(unit), relationship_type=_RELATIONSHIP
            )
