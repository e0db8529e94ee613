"""The routes of the service."""

import time
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, Field

from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.intake import Intake
from orthanc_plugin.ledger.judgements import Opinion
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import DATABASE_ERRORS
from orthanc_plugin.ledger.studies import Studies, StudyRow
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.site.roles import Roles
from orthanc_plugin.upkeep.alarms import Alarms
from orthanc_plugin.web.earlier_studies import earlier_series
from orthanc_plugin.web.fhir import fhir_bundle
from orthanc_plugin.web.guard import Guard, add_page_headers
from orthanc_plugin.web.health import HealthReport, health_report, pipeline_view
from orthanc_plugin.web.judgements import add_audit_route, add_judgement_routes
from orthanc_plugin.web.regions import add_region_routes, kept_regions
from orthanc_plugin.web.report_versions import add_report_routes, report_versions
from orthanc_plugin.web.similarity import add_similarity_routes
from orthanc_plugin.web.static_files import add_static_routes
from orthanc_plugin.web.study_id import ORTHANC_ID, StudyId
from orthanc_plugin.web.work_list import WorkList, study_view, work_list
from orthanc_plugin.work.encoding import Encoding
from orthanc_plugin.work.work_beside import WorkBeside

FIRST_ROWS, PAGE_ROWS, JSON_ROWS = 300, 5000, 1000
"""Of the page at once, of the page once its script asked for the others, and of the JSON answer."""
STUDY_PLACE = "{study_instance_uid}"


class Nudge(BaseModel):
    """A change event of Orthanc's, as the plugin passes it on."""

    study: str | None = Field(None, pattern=ORTHANC_ID)


class Accepted(BaseModel):
    """What a nudge or the wish for a run is answered with.

    state : of the study whose run was asked for.
    """

    accepted: bool = True
    state: State | None = None


def build_application(
    *,
    token: str | None,
    roles: Roles,
    ledger: Ledger,
    intake: Intake,
    workers: WorkerPool,
    encoding: Encoding,
    beside: WorkBeside,
    alarms: Alarms,
    registry: CollectorRegistry,
    viewer_url: str | None = None,
) -> FastAPI:
    """The service's routes.

    token : shared secret that callers must send, none lets everybody in
    registry : figures for ``/metrics``
    viewer_url : see the settings
    """
    application = FastAPI(title="Curia service", docs_url=None, redoc_url=None, openapi_url=None)
    guard = Guard(token, roles, ledger.audit)
    for error in DATABASE_ERRORS:
        application.add_exception_handler(error, _database_is_away)

    application.add_exception_handler(RequestValidationError, _does_not_fit)

    def report() -> HealthReport:
        return health_report(alarms, workers)

    _add_health_routes(application, report, registry)
    application.get("/curia/health", dependencies=[Depends(guard.check_token)])(report)
    _add_work_list_routes(application, guard, ledger=ledger, workers=workers, alarms=alarms, viewer_url=viewer_url)
    add_judgement_routes(application, guard, studies=ledger.studies, judgements=ledger.judgements)
    add_similarity_routes(application, guard, studies=ledger.studies, workers=workers, encoding=encoding)
    add_region_routes(application, guard, studies=ledger.studies, beside=beside)
    add_report_routes(application, guard, studies=ledger.studies, judgements=ledger.judgements, beside=beside)
    add_audit_route(application, guard, ledger.audit)
    add_static_routes(application, guard)
    add_page_headers(application)
    _add_intake_routes(application, guard, studies=ledger.studies, intake=intake)
    return application


def _database_is_away(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"detail": "the service's database is out of reach; try again"}, status_code=503)


def _does_not_fit(_request: Request, error: Exception) -> Response:
    """What is wrong and where, without what came: that may be anything, bytes that are no text among it."""
    assert isinstance(error, RequestValidationError)
    wrong = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
    return JSONResponse({"detail": wrong}, status_code=422)


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
    application: FastAPI,
    guard: Guard,
    *,
    ledger: Ledger,
    workers: WorkerPool,
    alarms: Alarms,
    viewer_url: str | None,
) -> None:
    studies, judgements = ledger.studies, ledger.judgements
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

    @application.get("/curia/worklist", dependencies=[Depends(guard.may("view"))])
    def whole_list(
        request: Request,
        limit: Annotated[int | None, Query(ge=1, le=10_000)] = None,
        since: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
    ) -> Response:
        now = time.time()
        rows = limit or (FIRST_ROWS if _wants_page(request) else JSON_ROWS)
        view = listed(studies.work_list(rows, since=since))
        if not _wants_page(request):
            return _json(view)
        on = sorted(name for name, is_on in alarms.states().items() if is_on)
        whole = PAGE_ROWS if limit is None and len(view.studies) == FIRST_ROWS else ""
        return page("work_list.html", up="../", studies=view.studies, states=State, alarms=on, now=now, whole=whole)

    @application.get("/curia/studies/{orthanc_id}", dependencies=[Depends(guard.may("view", "see"))])
    def one_study(request: Request, orthanc_id: StudyId) -> Response:
        row = studies.row(orthanc_id)
        if row is None:
            if _wants_page(request):
                return page("unknown_study.html", up="../../", status=404)
            raise HTTPException(404, "this study was not seen yet")
        view = study_view(row, overdue_seconds=alarms.overdue_seconds)
        if not _wants_page(request):
            return _json(view)
        identity = workers.identity
        return page(
            "study.html",
            up="../../",
            study=view,
            regions=kept_regions(row),
            versions=report_versions(row),
            viewer=None if viewer_url is None else viewer_url.replace(STUDY_PLACE, quote(row.study_instance_uid)),
            earlier=[one.model_dump() for one in earlier_series(row)],
            vocabulary=() if identity is None else identity.vocabulary,
            judgements=judgements.of(orthanc_id),
            verdicts=Opinion,
        )

    @application.get("/curia/studies/{orthanc_id}/fhir", dependencies=[Depends(guard.may("view", "export"))])
    def fhir(orthanc_id: StudyId) -> Response:
        row = studies.row(orthanc_id)
        if row is None or row.job is None or row.job.result is None:
            raise HTTPException(404, "this study has no result")
        return Response(fhir_bundle(row.study_instance_uid, row.job.result), media_type="application/fhir+json")


def _add_intake_routes(application: FastAPI, guard: Guard, *, studies: Studies, intake: Intake) -> None:
    @application.post(
        "/nudge", dependencies=[Depends(guard.check_token)], status_code=202, response_model_exclude_none=True
    )
    def nudge(event: Nudge) -> Accepted:
        intake.nudge(event.study)
        return Accepted()

    @application.post(
        "/curia/studies/{orthanc_id}/run", dependencies=[Depends(guard.may("run", "run"))], status_code=202
    )
    def run(orthanc_id: StudyId) -> Accepted:
        row = studies.row(orthanc_id)
        intake.force(orthanc_id)
        return Accepted(state=State.WAITING if row is None else row.state)


def _json(view: BaseModel) -> Response:
    return JSONResponse(view.model_dump(mode="json", by_alias=True))


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
