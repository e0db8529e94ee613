"""A study, its work and its objects, as the tests of the service use them."""

from datetime import UTC, datetime

from orthanc_plugin.domain.facts import StudyFacts
from orthanc_plugin.domain.states import State
from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.ledger.jobs import Job

MODEL = {"name": "m", "version": "1", "demonstration": False}
"""As a worker greets with it."""
STUDY = StudyFacts("orthanc-1", "1.2.3", True, datetime(2026, 1, 31, tzinfo=UTC))
JOB = Job(
    work_id="w1", orthanc_id="orthanc-1", study_instance_uid="1.2.3", source_digest="s1", pipeline_digest="p",
    state=State.QUEUED, stable_at=1.0, queued_at=2.0,
)  # fmt: skip


def stored(
    kind: str = "SR", *, series: str = "9.9", instance: str = "9.9.9", sha256: str = "ab" * 32, orthanc_id: str = "i"
) -> StoredObject:
    return StoredObject(
        kind=kind, sop_class_uid="1.2", series_instance_uid=series, sop_instance_uid=instance, bytes=2048,
        sha256=sha256, orthanc_instance_id=orthanc_id, orthanc_series_id="s",
    )  # fmt: skip
