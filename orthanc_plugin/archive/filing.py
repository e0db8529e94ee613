"""Under which patient and study Orthanc files an object, told from the object's own bytes."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import MisfiledError

FILED_BY = ("PatientID", "StudyInstanceUID")
ESCAPE = b"\x1b"
"""Switches to another character set within a value (PS3.5 6.1.2.5)."""

Filing = tuple[bytes, ...]


def filing_of(dicom: bytes) -> Filing:
    """The values that Orthanc files by, byte for byte, and the character set where they are no plain ASCII.

    Whatever Orthanc makes of bytes outside their character set, it makes the same of the same bytes.
    """
    dataset = dcmread(BytesIO(dicom), force=True, stop_before_pixels=True, specific_tags=list(FILED_BY))
    values = tuple(_bytes_of(dataset, keyword) for keyword in FILED_BY)
    is_plain = all(value.isascii() and ESCAPE not in value for value in values)
    return values if is_plain else (*values, _bytes_of(dataset, "SpecificCharacterSet"))


def refuse_other_filing(client: OrthancClient, outputs: Iterable[Path], instance_ids: Iterable[str]) -> None:
    """``MisfiledError`` unless each output would lie beside some of these instances.

    They may name their one patient in several ways; as a rule the first tells enough.
    """
    known: set[Filing] = set()
    unread = iter(instance_ids)
    for path in outputs:
        filing = filing_of(path.read_bytes())
        while filing not in known:
            instance_id = next(unread, None)
            if instance_id is None:
                raise MisfiledError(
                    "a result names patient or study by other bytes than the images do; nothing was stored, because "
                    "the archive would file it under another patient"
                )
            known.add(filing_of(client.instance_file(instance_id)))


def _bytes_of(dataset: Dataset, keyword: str) -> bytes:
    """The value as it is written, without padding; what was read already is written out again."""
    if keyword not in dataset:
        return b""
    value = dataset.get_item(keyword).value
    if not isinstance(value, bytes):
        value = "\\".join([value] if isinstance(value, str) else value or []).encode()
    return value.strip(b" \0")
