"""An object that we stored, as it lies in the archive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of ours in the archive.

    kind : as result.json names it
    bytes, sha256 : of the file that the archive keeps.
    """

    kind: str
    sop_class_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    bytes: int
    sha256: str
    orthanc_instance_id: str
    orthanc_series_id: str
