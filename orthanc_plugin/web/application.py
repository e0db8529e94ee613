"""The routes of the service."""

import secrets
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, Field

from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.intake import Intake
from orthanc_plugin.ledger.local_faults import DATABASE_ERRORS
from orthanc_plugin.ledger.studies import Studies, StudyRow
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.upkeep.alarms import Alarms
from orthanc_plugin.web.fhir import fhir_bundle
from orthanc_plugin.web.guard import add_page_headers
from orthanc_plugin.web.health import HealthReport, health_report, pipeline_view
from orthanc_plugin.web.static_files import add_static_routes
from orthanc_plugin.web.work_list import WorkList, study_view, work_list

ORTHANC_ID = r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$"
"""Orthanc's ids: five groups of eight hex digits."""
StudyId = Annotated[str, PathParameter(pattern=ORTHANC_ID)]


class Nudge(BaseModel):
    """A change event of Orthanc's, as the plugin passes it on."""

    study: str | None = Field(None, pattern=ORTHANC_ID)


class Accepted(BaseModel):
    """state : of the study whose run was asked for."""

    accepted: bool = True
    state: State | None = None


def build_application(
    *,
    token: str | None,
    studies: Studies,
    intake: Intake,
    workers: WorkerPool,
    alarms: Alarms,
    registry: CollectorRegistry,
) -> FastAPI:
    """token : shared secret that callers must send, none lets everybody in. registry : figures for ``/metrics``"""
    application = FastAPI(title="Curia service", docs_url=None, redoc_url=None, openapi_url=None)
    guarded: Any = [Depends(_token_guard(token))]
    for error in DATABASE_ERRORS:
        application.add_exception_handler(error, _database_is_away)

    def report() -> HealthReport:
        return health_report(alarms, workers)

    _add_health_routes(application, report, registry)
    application.get("/curia/health", dependencies=guarded)(report)
    _add_work_list_routes(application, guarded, studies=studies, workers=workers, alarms=alarms)
    add_static_routes(application, guarded)
    add_page_headers(application)
    _add_intake_routes(application, guarded, studies=studies, intake=intake)
    return application


def _database_is_away(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"detail": "the service's database is out of reach; try again"}, status_code=503)


def _token_guard(token: str | None) -> Callable[..., None]:
    expected = None if token is None else f"Bearer {token}"

    def guard(authorization: Annotated[str, Header()] = "") -> None:
        if expected is not None and not secrets.compare_digest(authorization.encode(), expected.encode()):
            raise HTTPException(401, "the service token is missing or wrong")

    return guard


def _add_health_routes(application: FastAPI, report: Callable[[], HealthReport], registry: CollectorRegistry) -> None:
    @application.get("/livez")
    def livez() -> dict[str, str]:
        return {"status": "ok"}

    @application.get("/readyz")
    def readyz(response: Response) -> HealthReport:
        health = report()
        response.status_code = 200 if health.ready else 503
        return health

    @application.get("/metrics")
    def prometheus() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _add_work_list_routes(
    application: FastAPI, guarded: Any, *, studies: Studies, workers: WorkerPool, alarms: Alarms
) -> None:
    pages = Environment(
        loader=PackageLoader("orthanc_plugin.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def listed(rows: list[StudyRow]) -> WorkList:
        return work_list(rows, pipeline=pipeline_view(workers), overdue_seconds=alarms.overdue_seconds)

    def page(name: str, *, up: str, status: int = 200, **content: Any) -> Response:
        """*up* leads from the page to Orthanc's root."""
        html = pages.get_template(name).render(pipeline=pipeline_view(workers), up=up, **content)
        return HTMLResponse(html, status)

    @application.get("/curia/worklist", dependencies=guarded)
    def whole_list(request: Request, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> Response:
        view = listed(studies.work_list(limit))
        if not _wants_page(request):
            return _json(view)
        on = sorted(name for name, is_on in alarms.states().items() if is_on)
        return page("work_list.html", up="../", studies=view.studies, alarms=on)

    @application.get("/curia/studies/{orthanc_id}", dependencies=guarded)
    def one_study(request: Request, orthanc_id: StudyId) -> Response:
        row = studies.row(orthanc_id)
        if row is None:
            if _wants_page(request):
                return page("unknown_study.html", up="../../", status=404)
            raise HTTPException(404, "this study was not seen yet")
        view = study_view(row, overdue_seconds=alarms.overdue_seconds)
        return page("study.html", up="../../", study=view) if _wants_page(request) else _json(view)

    @application.get("/curia/studies/{orthanc_id}/fhir", dependencies=guarded)
    def fhir(orthanc_id: StudyId) -> Response:
        row = studies.row(orthanc_id)
        if row is None or row.job is None or row.job.result is None:
            raise HTTPException(404, "this study has no result")
        return Response(fhir_bundle(row.study_instance_uid, row.job.result), media_type="application/fhir+json")


def _add_intake_routes(application: FastAPI, guarded: Any, *, studies: Studies, intake: Intake) -> None:
    @application.post("/nudge", dependencies=guarded, status_code=202, response_model_exclude_none=True)
    def nudge(event: Nudge) -> Accepted:
        intake.nudge(event.study)
        return Accepted()

    @application.post("/curia/studies/{orthanc_id}/run", dependencies=guarded, status_code=202)
    def run(orthanc_id: StudyId) -> Accepted:
        row = studies.row(orthanc_id)
        intake.force(orthanc_id)
        return Accepted(state=State.WAITING if row is None else row.state)


def _json(view: BaseModel) -> Response:
    return JSONResponse(view.model_dump(mode="json", by_alias=True))


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
