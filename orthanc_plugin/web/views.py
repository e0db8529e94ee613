"""What the work list shows of a study: plain mappings, the same for the JSON answer and the page.

Nothing of the patient's is known here: the ledger holds UIDs, the pipeline's manifest and Orthanc's ids.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orthanc_plugin.domain.source import why_not_read
from orthanc_plugin.ledger.ledger import Job, StudyRow

SCHEMA = "curia-pacs/worklist/1"

View = dict[str, Any]


def study_view(row: StudyRow, *, overdue_seconds: float) -> View:
    """One study with its current work; after *overdue_seconds* at rest without an outcome, a warning says so."""
    job = row.job
    result: Mapping[str, Any] = (job.result if job is not None else None) or {}
    return {
        "orthanc_id": row.orthanc_id,
        "study_instance_uid": row.study_instance_uid,
        "state": row.state.value,
        "reason": None if row.reason is None else {"code": _reason_code(job), "message": row.reason},
        "updated": _iso(row.updated_at),
        "stable": _iso(row.stable_at),
        "stored": _iso(job.finished_at) if job is not None and row.state == "stored" else None,
        "seconds": _seconds(job),
        "result_status": result.get("status"),
        "model": result.get("model"),
        "series": _series_views(row, result.get("series", [])),
        "findings": result.get("findings", []),
        "measurements": result.get("measurements", []),
        "objects": [] if job is None else [_object_view(entry) for entry in job.objects],
        "stages": result.get("stages", []),
        "warnings": [*result.get("warnings", []), *_service_warnings(row, overdue_seconds)],
        "deliveries": row.deliveries,
        "rule": None if job is None else job.rule,
        "priority": None if job is None else job.priority,
        "work_id": None if job is None else job.work_id,
        "worker_crashes": 0 if job is None else job.crashes,
    }


def work_list_view(rows: list[StudyRow], *, pipeline: View, overdue_seconds: float) -> View:
    return {
        "schema": SCHEMA,
        "research_use_only": True,
        "pipeline": pipeline,
        "studies": [study_view(row, overdue_seconds=overdue_seconds) for row in rows],
    }


def _service_warnings(row: StudyRow, overdue_seconds: float) -> list[View]:
    warnings: list[View] = [] if row.job is None else [dict(warning) for warning in row.job.warnings]
    age = 0.0 if row.stable_at is None or row.state.is_final else time.time() - row.stable_at
    if age > overdue_seconds:
        message = f"no result although the study has been at rest for {age / 60:.0f} minutes"
        warnings.append({"code": "result-overdue", "message": message})
    return warnings


def _object_view(entry: Mapping[str, Any]) -> View:
    instance_id, series_id = entry["orthanc_instance_id"], entry["orthanc_series_id"]
    # Relative to Orthanc's root, so that links also hold behind a reverse proxy with a prefix.
    links = {"explorer": f"app/explorer.html#series?uuid={series_id}", "file": f"instances/{instance_id}/file"}
    return dict(entry) | links


def _series_views(row: StudyRow, judged: list[View]) -> list[View]:
    """Every series of the study: those that the pipeline judged as its manifest has them, then all others."""
    known = {entry["series_instance_uid"] for entry in judged}
    others = [one for one in row.series if one["series_instance_uid"] not in known]
    return judged + [_unjudged_view(one, is_own=one["series_instance_uid"] in row.own_series_uids) for one in others]


def _unjudged_view(series: Mapping[str, Any], *, is_own: bool) -> View:
    reason = why_not_read(series["modality"], is_own=is_own)
    decision, reasons = ("not judged", []) if reason is None else ("not read", [reason])
    return dict(series) | {"decision": decision, "role": None, "score": 0.0, "reasons": reasons}


def _seconds(job: Job | None) -> View:
    if job is None:
        return {}
    seconds: View = dict(job.timings)
    if job.finished_at is not None:
        seconds["stable_to_end"] = round(job.finished_at - job.stable_at, 2)
    if job.started_at is not None:
        seconds["queued"] = round(job.started_at - job.queued_at, 2)
    return seconds


def _reason_code(job: Job | None) -> str | None:
    return None if job is None else job.reason_code


def _iso(epoch_seconds: float | None) -> str | None:
    if epoch_seconds is None:
        return None
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="seconds")
