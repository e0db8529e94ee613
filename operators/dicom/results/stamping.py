"""The last step of every result object: equipment, site, dates, and a UID that is a function of the content."""

from pydicom import Dataset
from pydicom.valuerep import DA, DT, TM

from operators.dicom.results.encoding import encode_dataset
from operators.dicom.results.object_kinds import SOP_CLASSES
from operators.dicom.results.run_context import RunContext
from operators.domain.concepts import PROCESSING_EQUIPMENT

UNSTAMPED_UID = "2.25.0"
"""SOP Instance UID of an object that is not finished yet."""

_DATES = ("InstanceCreationDate", "SeriesDate", "ContentDate")
_TIMES = ("InstanceCreationTime", "SeriesTime", "ContentTime")


def stamp(dataset: Dataset, run: RunContext, *, series_key: str) -> None:
    """Give *dataset* its equipment, the site's names, its SOP Instance UID and its dates, in place.

    series_key : what the UID of the object's series is made of

    The UID covers everything but dates, so a repeated run is the same object, and another result never hides
    behind the UID of one that is already in the archive.
    """
    run.provenance.stamp_equipment(dataset)
    run.provenance.stamp_site(dataset, SOP_CLASSES[dataset.SOPClassUID])
    _set_dimension_organization(dataset, run.identity.uid(f"{series_key}:dimensions"))
    _set_contribution_times(dataset, None)
    for keyword in (*_DATES, *_TIMES):
        dataset.pop(keyword, None)
    dataset.SOPInstanceUID = run.identity.uid(series_key, encode_dataset(dataset)[0])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword in _DATES:
        setattr(dataset, keyword, DA(run.now.date()))
    for keyword in _TIMES:
        setattr(dataset, keyword, TM(run.now.time().replace(microsecond=0)))
    _set_contribution_times(dataset, DT(run.now.replace(microsecond=0, tzinfo=None)))


def _set_contribution_times(dataset: Dataset, time: DT | None) -> None:
    """Software contributes now; the scanner's item keeps the time of its acquisition."""
    for item in dataset.ContributingEquipmentSequence:
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == PROCESSING_EQUIPMENT.value:
            item.ContributionDateTime = time


def _set_dimension_organization(dataset: Dataset, uid: str) -> None:
    """highdicom draws this UID at random, which would make equal runs differ."""
    for item in [*dataset.get("DimensionOrganizationSequence", ()), *dataset.get("DimensionIndexSequence", ())]:
        item.DimensionOrganizationUID = uid
