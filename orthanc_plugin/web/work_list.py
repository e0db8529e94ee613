"""What the work list shows of a study, the same for the JSON answer and the page.

Nothing of the patient's is known here: the ledger holds UIDs, the pipeline's manifest and Orthanc's ids.
"""

import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orthanc_plugin.domain.facts import KnownSeries
from orthanc_plugin.domain.source import why_not_read
from orthanc_plugin.domain.states import State
from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.ledger.studies import StudyRow
from orthanc_plugin.pipeline.manifest import (
    BODY_REGION,
    Finding,
    FollowUp,
    Manifest,
    Measurement,
    Model,
    Registration,
    Series,
    Stage,
)
from orthanc_plugin.web.health import PipelineView

SCHEMA: Literal["curia-pacs/worklist/1"] = "curia-pacs/worklist/1"


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Remark(_View):
    """A reason or a warning in words.

    code : a stable word, where there is one.
    """

    code: str | None
    message: str


class ObjectView(_View):
    """A result in the archive.

    explorer, file : links relative to Orthanc's root, so that they also hold behind a proxy with a prefix.
    """

    kind: str
    sop_class_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    bytes: int
    sha256: str
    orthanc_instance_id: str
    orthanc_series_id: str
    explorer: str
    file: str


class DeliveryView(_View):
    kind: str
    destination: str
    state: str
    attempts: int
    trouble: str | None


class StudyView(_View):
    """One study with its current work. updated, stable, stored : ISO 8601 with offset."""

    orthanc_id: str
    study_instance_uid: str
    state: State
    reason: Remark | None
    updated: str
    stable: str | None
    stored: str | None
    seconds: dict[str, float]
    result_status: str | None
    model: Model | None
    series: tuple[Series, ...]
    findings: tuple[Finding, ...]
    measurements: tuple[Measurement, ...]
    registration: tuple[Registration, ...]
    follow_up: tuple[FollowUp, ...]
    objects: tuple[ObjectView, ...]
    stages: tuple[Stage, ...]
    warnings: tuple[Remark, ...]
    deliveries: tuple[DeliveryView, ...]
    rule: str | None
    priority: int | None
    work_id: str | None
    worker_crashes: int

    @property
    def urgency(self) -> float:
        """How far the strongest present finding lies above its threshold: 0 where it just reaches it, 1 where it is
        certain; 0 without one, too. It sorts a list, and says nothing about a patient.
        """
        margins = [
            (one.probability - one.threshold) / (1 - one.threshold)
            for one in self.findings
            if one.present and one.code.value != BODY_REGION
            if one.probability is not None and one.threshold is not None and one.threshold < 1
        ]
        return max(margins, default=0.0)


class WorkList(_View):
    """The studies that moved last, newest first."""

    # "schema" is the contract's word; as a Python name it would hide a pydantic method.
    schema_: Literal["curia-pacs/worklist/1"] = Field(SCHEMA, serialization_alias="schema")
    research_use_only: Literal[True] = True
    pipeline: PipelineView
    studies: tuple[StudyView, ...]


def work_list(rows: Iterable[StudyRow], *, pipeline: PipelineView, overdue_seconds: float) -> WorkList:
    return WorkList(pipeline=pipeline, studies=tuple(study_view(row, overdue_seconds=overdue_seconds) for row in rows))


def study_view(row: StudyRow, *, overdue_seconds: float) -> StudyView:
    """After *overdue_seconds* at rest without an outcome, a warning says so."""
    job = row.job
    result = (None if job is None else job.result) or Manifest(status="")
    return StudyView(
        orthanc_id=row.orthanc_id,
        study_instance_uid=row.study_instance_uid,
        state=row.state,
        reason=None if row.reason is None else Remark(code=job.reason_code if job else None, message=row.reason),
        updated=_iso(row.updated_at),
        stable=None if row.stable_at is None else _iso(row.stable_at),
        stored=_iso(job.finished_at) if job and job.finished_at and row.state is State.STORED else None,
        seconds={} if job is None else _seconds(job),
        result_status=result.status or None,
        model=result.model,
        series=_series(row, result.series),
        findings=result.findings,
        measurements=result.measurements,
        registration=result.registration,
        follow_up=result.follow_up,
        objects=() if job is None else tuple(_object_view(stored) for stored in job.objects),
        stages=result.stages,
        warnings=(*_pipeline_warnings(result), *_service_warnings(row, overdue_seconds)),
        deliveries=tuple(DeliveryView(**asdict(copy)) for copy in row.copies),
        rule=None if job is None else job.rule,
        priority=None if job is None else job.priority,
        work_id=None if job is None else job.work_id,
        worker_crashes=0 if job is None else job.crashes,
    )


def _pipeline_warnings(result: Manifest) -> tuple[Remark, ...]:
    return tuple(Remark(code=warning.code, message=warning.message) for warning in result.warnings)


def _service_warnings(row: StudyRow, overdue_seconds: float) -> tuple[Remark, ...]:
    own = () if row.job is None else row.job.warnings
    warnings = [Remark(code=warning.code, message=warning.message) for warning in own]
    age = 0.0 if row.stable_at is None or row.state.is_final else time.time() - row.stable_at
    if age > overdue_seconds:
        message = f"no result although the study has been at rest for {age / 60:.0f} minutes"
        warnings.append(Remark(code="result-overdue", message=message))
    return tuple(warnings)


def _object_view(stored: StoredObject) -> ObjectView:
    return ObjectView(
        **asdict(stored),
        explorer=f"app/explorer.html#series?uuid={stored.orthanc_series_id}",
        file=f"instances/{stored.orthanc_instance_id}/file",
    )


def _series(row: StudyRow, judged: tuple[Series, ...]) -> tuple[Series, ...]:
    """Every series of the study: those that the pipeline judged as its manifest has them, then all others."""
    known = {series.series_instance_uid for series in judged}
    others = (one for one in row.series if one.series_instance_uid not in known)
    own = row.own_series_uids
    return (*judged, *(_unjudged(one, is_own=one.series_instance_uid in own) for one in others))


def _unjudged(series: KnownSeries, *, is_own: bool) -> Series:
    reason = why_not_read(series.modality, is_own=is_own)
    decision, reasons = ("not judged", ()) if reason is None else ("not read", (reason,))
    return Series(**asdict(series), decision=decision, reasons=reasons)


def _seconds(job: Job) -> dict[str, float]:
    seconds = dict(job.timings)
    if job.finished_at is not None:
        seconds["stable_to_end"] = round(job.finished_at - job.stable_at, 2)
    if job.started_at is not None:
        seconds["queued"] = round(job.started_at - job.queued_at, 2)
    return seconds


def _iso(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="seconds")
