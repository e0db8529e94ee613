"""An object of ours without its content: for what highdicom has no class of its own."""

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from operators.dicom.results.run_context import RunContext
from operators.dicom.results.source_headers import copy_character_set, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID


def bare_object(
    source: Dataset,
    *,
    run: RunContext,
    sop_class_uid: str,
    modality: str,
    series_key: str,
    series_number: int,
    title: str,
) -> tuple[Dataset, Dataset]:
    """Patient and study of the source, series and equipment of the run; and the source's header as it was taken over.

    title : of the series, beside what says whose it is
    """
    (header,), _ = padded_headers([source])
    dataset: Dataset = hd.SOPClass(
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=run.identity.uid(series_key),
        series_number=series_number,
        sop_instance_uid=UNSTAMPED_UID,
        sop_class_uid=sop_class_uid,
        instance_number=1,
        modality=modality,
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
    dataset.ContributingEquipmentSequence = [run.provenance.contributing_equipment()]
    return dataset, header
