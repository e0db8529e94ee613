"""Routes of what people say of findings, and of the audit trail."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orthanc_plugin.ledger.audit import Audit
from orthanc_plugin.ledger.judgements import Judgement, Judgements, Opinion
from orthanc_plugin.ledger.studies import Studies
from orthanc_plugin.web.guard import Guard
from orthanc_plugin.web.study_id import StudyId


class SaidOfAFinding(BaseModel):
    """A judgement as it comes from the page.

    finding, head : as the result names them
    tracking_uid : of the finding's place, where it has one
    """

    model_config = ConfigDict(extra="forbid")

    finding: str = Field(min_length=1, max_length=128)
    head: str = Field(max_length=128)
    tracking_uid: str | None = Field(None, max_length=64)
    verdict: Opinion
    comment: str = Field("", max_length=2000)


def add_judgement_routes(application: FastAPI, guard: Guard, *, studies: Studies, judgements: Judgements) -> None:
    @application.post("/curia/studies/{orthanc_id}/judgements", status_code=201)
    def judge(
        orthanc_id: StudyId, said: SaidOfAFinding, person: Annotated[str, Depends(guard.may("judge", "judge"))]
    ) -> Judgement:
        row = studies.row(orthanc_id)
        result = None if row is None or row.job is None else row.job.result
        if row is None or row.job is None or result is None:
            raise HTTPException(404, "this study has no result")
        if not any((finding.name, finding.head) == (said.finding, said.head) for finding in result.findings):
            raise HTTPException(422, "the study's result has no finding of that name and head")
        judgement = Judgement(**said.model_dump(), person=person, at=0.0)
        return judgements.add(orthanc_id, row.job.work_id, judgement)

    @application.get("/curia/studies/{orthanc_id}/judgements", dependencies=[Depends(guard.may("view"))])
    def judged(orthanc_id: StudyId) -> tuple[Judgement, ...]:
        return judgements.of(orthanc_id)


def add_audit_route(application: FastAPI, guard: Guard, audit: Audit) -> None:
    @application.get("/curia/audit", dependencies=[Depends(guard.may("admin", "audit"))])
    def trail() -> StreamingResponse:
        """The whole trail, one JSON object a line."""

        def lines() -> Iterator[str]:
            yield from (json.dumps(asdict(entry)) + "\n" for entry in audit.entries())

        return StreamingResponse(lines(), media_type="application/x-ndjson")
