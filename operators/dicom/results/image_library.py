"""The report's list of the images it was made from (TID 1600)."""

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset

from operators.dicom.results.coded_concepts import IMAGE_LIBRARY, IMAGE_LIBRARY_GROUP, SOURCE, coded_concept
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Code

_DESCRIBED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SliceThickness",
    "SpacingBetweenSlices",
)


def container(name: Code, items: Sequence[hd.sr.ContentItem]) -> hd.sr.ContainerContentItem:
    """A CONTAINER below another one, with these items."""
    item = hd.sr.ContainerContentItem(coded_concept(name), relationship_type="CONTAINS")
    item.ContentSequence = hd.sr.ContentSequence(items)
    return item


def image_library(sources: Sequence[SourceSeries]) -> hd.sr.ContainerContentItem:
    """One group per series, with what its images share said once.

    highdicom's own library repeats fifteen items for every image, which for 300 slices takes most of the report's
    size and time.
    """
    return container(IMAGE_LIBRARY, [_group(source) for source in sources])


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


def _shared_descriptors(header: Dataset) -> list[hd.sr.ContentItem]:
    """TID 1602 and 1604, but for the image's position, which its images do not share."""
    descriptors = hd.sr.ImageLibraryEntryDescriptors(_described(header))
    return [item for item in descriptors if not item.name.meaning.startswith("Image Position")]


def _described(header: Dataset) -> Dataset:
    """The descriptors' attributes as far as the header has them.

    highdicom adds the cross-sectional ones (TID 1604) by modality and then insists on a slice thickness, which
    many sources leave empty (type 2).
    """
    described = Dataset()
    for keyword in _DESCRIBED:
        if header.get(keyword) not in (None, ""):
            setattr(described, keyword, header[keyword].value)
    described.Modality = header.Modality if "SliceThickness" in described else "OT"
    return described
