"""References from an object to the instances it was made from."""

from collections.abc import Iterable

from pydicom import Dataset

from operators.dicom.results.codes import coded_concept
from operators.domain.concepts import SOURCE_IMAGE


def instance_reference(dataset: Dataset) -> Dataset:
    """SOP Instance Reference (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    return item


def source_image_reference(header: Dataset, frame_number: int | None = None) -> Dataset:
    """Item of a Source Image Sequence with its purpose (CID 7202).

    frame_number : of a multi-frame image, None for all of it
    """
    item = instance_reference(header)
    if frame_number is not None:
        item.ReferencedFrameNumber = frame_number
    item.PurposeOfReferenceCodeSequence = [coded_concept(SOURCE_IMAGE)]
    return item


def distinct_instances(headers: Iterable[Dataset]) -> list[Dataset]:
    """Each instance once, though a multi-frame one has a header for each slice."""
    return list({str(header.SOPInstanceUID): header for header in headers}.values())


def study_references(sources: Iterable[Dataset]) -> list[Dataset]:
    """Items of a Studies Containing Other Referenced Instances Sequence (PS3.3 C.12.2)."""
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for source in distinct_instances(sources):
        series = studies.setdefault(str(source.StudyInstanceUID), {})
        series.setdefault(str(source.SeriesInstanceUID), []).append(instance_reference(source))
    items = []
    for study, listed in studies.items():
        item = Dataset()
        item.StudyInstanceUID = study
        item.ReferencedSeriesSequence = [_series_reference(uid, instances) for uid, instances in listed.items()]
        items.append(item)
    return items


def _series_reference(series_instance_uid: str, instances: list[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series_instance_uid
    item.ReferencedInstanceSequence = instances
    return item
