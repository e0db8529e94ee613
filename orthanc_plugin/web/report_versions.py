"""Later versions of a study's report, with what people said of its findings."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel

from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.ledger.judgements import Judgement, Judgements
from orthanc_plugin.ledger.studies import Studies, StudyRow
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.pipeline.protocol import Coded, Judged, Revision
from orthanc_plugin.web.guard import Guard
from orthanc_plugin.web.person_name import person_name
from orthanc_plugin.web.study_id import StudyId
from orthanc_plugin.work.work_beside import WorkBeside


class ReportVersion(BaseModel):
    """One of them.

    judgements : how many it holds
    report : Orthanc's id of the SR, once it is stored
    """

    state: State
    reason: str | None
    judgements: int
    report: str | None


def add_report_routes(
    application: FastAPI, guard: Guard, *, studies: Studies, judgements: Judgements, beside: WorkBeside
) -> None:
    @application.post("/curia/studies/{orthanc_id}/report", status_code=202)
    def revise(orthanc_id: StudyId, _: Annotated[str, Depends(guard.may("judge", "report"))]) -> ReportVersion:
        row = studies.row(orthanc_id)
        if row is None or row.job is None or row.job.result is None:
            raise HTTPException(404, "this study has no result")
        versions = _of_current(row)
        if any(not job.state.is_final for job in versions):
            raise HTTPException(409, "a version is being written; ask again when it is stored")
        said = _judged(judgements.of_work(row.job.work_id), row.job.result)
        if not said:
            raise HTTPException(409, "nobody has said anything of this result yet")
        stored = [job for job in versions if job.state is State.STORED and job.revision is not None]
        if stored and stored[-1].revision is not None and stored[-1].revision.judgements == said:
            return report_version(stored[-1])
        return report_version(beside.revise(row.job, Revision(report=_latest([row.job, *stored]), judgements=said)))

    @application.get("/curia/studies/{orthanc_id}/report", dependencies=[Depends(guard.may("view"))])
    def versions(orthanc_id: StudyId) -> tuple[ReportVersion, ...]:
        row = studies.row(orthanc_id)
        if row is None:
            raise HTTPException(404, "this study was not seen yet")
        return report_versions(row)


def report_versions(row: StudyRow) -> tuple[ReportVersion, ...]:
    """Those of the study's current result, the oldest first."""
    return tuple(report_version(job) for job in _of_current(row))


def report_version(job: Job) -> ReportVersion:
    reports = [stored.orthanc_instance_id for stored in job.objects if stored.kind == "SR"]
    return ReportVersion(
        state=job.state,
        reason=job.reason_message,
        judgements=0 if job.revision is None else len(job.revision.judgements),
        report=reports[0] if reports and job.state is State.STORED else None,
    )


def _of_current(row: StudyRow) -> list[Job]:
    return [job for job in row.revised if row.job is not None and job.read_by == row.job.work_id]


def _latest(jobs: list[Job]) -> str:
    reports = [stored.orthanc_instance_id for job in jobs for stored in job.objects if stored.kind == "SR"]
    if not reports:
        raise HTTPException(409, "this result has no SR that a version could follow")
    return reports[-1]


def _judged(said: tuple[Judgement, ...], result: Manifest) -> tuple[Judged, ...]:
    """The last word of each person on each finding of the result."""
    codes = {(finding.name, finding.head): finding.code for finding in result.findings}
    last = {(one.finding, one.head, one.person): one for one in said if (one.finding, one.head) in codes}
    return tuple(
        Judged(
            finding=one.finding,
            code=Coded(**codes[one.finding, one.head].model_dump()),
            tracking_uid=one.tracking_uid,
            verdict=one.verdict.value,
            comment=one.comment,
            person=person_name(one.person),
            at=one.at,
        )
        for one in last.values()
    )
