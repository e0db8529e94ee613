"""What both registration objects say alike: whose they are, and which images they join."""

from pydicom import Dataset

from operators.dicom.results.bare_object import bare_object
from operators.dicom.results.codes import coded_concept
from operators.dicom.results.references import distinct_instances, instance_reference, study_references
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.source_headers import copy_body_part
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import IMAGE_CONTENT_ALIGNMENT

CONTENT_LABEL = "AI_RESEARCH"


def registration_object(
    fixed: SourceSeries,
    moving: SourceSeries,
    *,
    run: RunContext,
    sop_class_uid: str,
    series_key: str,
    series_number: int,
    title: str,
) -> Dataset:
    """The object without its transforms: patient and study of the fixed series, whose frame all is brought into.

    Raises
    ------
    ValueError
        A series names no frame of reference.
    """
    for series in (fixed, moving):
        if not series.volume.geometry.frame_of_reference_uid:
            raise ValueError(f"series {series.series_instance_uid}: names no frame of reference, nothing can be placed")
    dataset, header = bare_object(
        fixed.headers[0],
        run=run,
        sop_class_uid=sop_class_uid,
        modality="REG",
        series_key=series_key,
        series_number=series_number,
        title=title,
    )
    copy_body_part(header, dataset)
    dataset.FrameOfReferenceUID = fixed.volume.geometry.frame_of_reference_uid
    dataset.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
    dataset.ContentLabel = CONTENT_LABEL
    dataset.ContentDescription = run.provenance.series_description(title)
    dataset.ContentCreatorName = f"{run.provenance.manufacturer}^"
    _set_references(dataset, fixed, moving)
    return dataset


def image_references(series: SourceSeries) -> list[Dataset]:
    """Items of a Referenced Image Sequence, one for each instance."""
    return [instance_reference(header) for header in distinct_instances(series.headers)]


def content_based() -> list[Dataset]:
    """Registration Type Code Sequence (CID 7100)."""
    return [coded_concept(IMAGE_CONTENT_ALIGNMENT)]


def _set_references(dataset: Dataset, fixed: SourceSeries, moving: SourceSeries) -> None:
    """Common Instance Reference (PS3.3 C.12.2): the prior usually lies in another study."""
    for study in study_references([*fixed.headers, *moving.headers]):
        if study.StudyInstanceUID == dataset.StudyInstanceUID:
            dataset.ReferencedSeriesSequence = study.ReferencedSeriesSequence
        else:
            dataset.StudiesContainingOtherReferencedInstancesSequence = [study]
