"""Putting results into the archive, and making sure that they are there as they were written."""

from collections.abc import Collection, Iterable, Mapping
from io import BytesIO
from pathlib import Path

from pydicom import DataElement, Dataset, dcmread
from pydicom.errors import InvalidDicomError

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ArchiveFileDamagedError, DeliveryError, MisfiledError, ResourceGoneError
from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.pipeline.manifest import Output, sha256_of

_DATES = frozenset({"DA", "TM", "DT"})
STORED_NOW = "Success"
STORED_STATUSES = frozenset({STORED_NOW, "AlreadyStored"})


def deliver(client: OrthancClient, path: Path, output: Output, *, study_id: str) -> StoredObject:
    """Store one output, read it back, and describe the object that now lies in the archive.

    Orthanc keeps the first bytes that came under a UID: those of an earlier run, which differ in their dates only.
    What it filed elsewhere than in the study is taken back before this ends in ``MisfiledError``.
    """
    ours = path.read_bytes()
    stored = client.store_instance(ours)
    if stored.status not in STORED_STATUSES:
        raise DeliveryError(f"{output.kind}: expected Success or AlreadyStored, Orthanc said {stored.status}")
    kept = client.instance_file(stored.instance_id)
    is_ours = kept == ours or _is_same_but_for_dates(kept, ours)
    if stored.study_id != study_id:
        if is_ours or stored.status == STORED_NOW:
            client.delete_instance(stored.instance_id)
        raise MisfiledError(
            f"{output.kind}: Orthanc filed it under another study than its source's; does a script of its own change "
            "what comes in?"
        )
    if not is_ours:
        raise DeliveryError(
            f"{output.kind}: read back other bytes than were stored ({stored.status}); does Orthanc change what "
            "it receives (IngestTranscoding, a received-instance script)?"
        )
    return StoredObject(
        kind=output.kind,
        sop_class_uid=output.sop_class_uid,
        series_instance_uid=output.series_instance_uid,
        sop_instance_uid=output.sop_instance_uid,
        bytes=output.bytes,
        sha256=sha256_of(kept),
        orthanc_instance_id=stored.instance_id,
        orthanc_series_id=stored.series_id,
    )


def are_in_archive(client: OrthancClient, objects: Iterable[StoredObject]) -> bool:
    """Whether every object, as the ledger knows it, can be read back unchanged."""
    try:
        return all(sha256_of(client.instance_file(stored.orthanc_instance_id)) == stored.sha256 for stored in objects)
    except (ResourceGoneError, ArchiveFileDamagedError):
        return False


def remove_planned(client: OrthancClient, planned: Mapping[str, Collection[str]], *, kept: Collection[str]) -> int:
    """Take back what is, byte for byte, what attempts meant to store; gives the number of objects.

    planned : SHA-256 by SOP Instance UID of all attempts
    kept : UIDs of what is to stay
    """
    removed = 0
    for sop_instance_uid in set(planned) - set(kept):
        for instance_id in client.instances_named(sop_instance_uid):
            if sha256_of(client.instance_file(instance_id)) in planned[sop_instance_uid]:
                client.delete_instance(instance_id)
                removed += 1
    return removed


def _is_same_but_for_dates(one: bytes, other: bytes) -> bool:
    try:
        return undated(one) == undated(other)
    except InvalidDicomError:
        return False


def undated(dicom: bytes) -> bytes:
    """The object without the values of its dates and times (DA, TM, DT; PS3.5 6.2), at every depth."""

    def blank(_: Dataset, element: DataElement) -> None:
        if element.VR in _DATES:
            element.value = ""

    dataset = dcmread(BytesIO(dicom))
    dataset.walk(blank)
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()
