"""What both registration objects say alike: whose they are, and which images they join."""

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.references import distinct_instances, instance_reference, study_references
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.source_headers import copy_body_part, copy_character_set, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID
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
    (header, *_), _ = padded_headers(fixed.headers[:1])
    dataset: Dataset = hd.SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=run.identity.uid(series_key),
        series_number=series_number,
        sop_instance_uid=UNSTAMPED_UID,
        sop_class_uid=sop_class_uid,
        instance_number=1,
        modality="REG",
        manufacturer=run.provenance.manufacturer,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate,
        study_time=header.StudyTime,
        referring_physician_name=header.ReferringPhysicianName,
        series_description=run.provenance.series_description(title),
        content_qualification=hd.ContentQualificationValues.RESEARCH,
    )
    copy_character_set(header, dataset)
    copy_body_part(header, dataset)
    dataset.ContributingEquipmentSequence = [run.provenance.contributing_equipment()]
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
