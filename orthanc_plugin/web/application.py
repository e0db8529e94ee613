"""The routes of the service."""

import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, Field

from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.intake import Intake
from orthanc_plugin.ledger.ledger import Ledger, StudyRow
from orthanc_plugin.ledger.local_faults import FreeSpace, is_local_fault
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.site.settings import ServiceSettings
from orthanc_plugin.upkeep.alarms import Alarms
from orthanc_plugin.upkeep.metrics import ServiceMetrics
from orthanc_plugin.web.views import View, study_view, work_list_view
from orthanc_plugin.work.hosts import Watchdog

# Orthanc's ids: five groups of eight hex digits.
ORTHANC_ID = r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$"
StudyId = Annotated[str, Path(pattern=ORTHANC_ID)]
CONTACT_SECONDS = 60.0
DATABASE_OUT_OF_REACH = "database-out-of-reach"


class Nudge(BaseModel):
    """A change event of Orthanc's, as the plugin passes it on."""

    study: str | None = Field(None, pattern=ORTHANC_ID)


def build_application(
    settings: ServiceSettings,
    *,
    ledger: Ledger,
    intake: Intake,
    worker: WorkerPool,
    space: FreeSpace,
    watchdog: Watchdog,
    alarms: Alarms,
    registry: CollectorRegistry,
) -> FastAPI:
    """registry : further figures for ``/metrics`` stand in it"""
    application = FastAPI(title="Curia service", docs_url=None, redoc_url=None, openapi_url=None)
    health = _Health(settings, intake=intake, worker=worker, space=space, watchdog=watchdog, alarms=alarms)
    registry.register(ServiceMetrics(ledger, worker, space=space, alarms=health.alarms))
    ProcessCollector(registry=registry)
    _add_health_routes(application, health, registry)
    _add_curia_routes(application, health, ledger=ledger, intake=intake, guard=_token_guard(settings))
    return application


class _Health:
    """What stands in the way of work, and what somebody must look at.

    Whether the service is ready says only the former: a study that two patients share is no reason for whoever
    watches services to take this one out of use.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        intake: Intake,
        worker: WorkerPool,
        space: FreeSpace,
        watchdog: Watchdog,
        alarms: Alarms,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._worker = worker
        self._space = space
        self._watchdog = watchdog
        self._alarms = alarms

    @property
    def overdue_seconds(self) -> float:
        return self._settings.overdue_seconds

    def pipeline(self) -> View:
        identity = self._worker.identity
        if identity is None:
            trouble = self._worker.trouble
            reason = trouble or "the pipeline is being loaded"
            return {"ready": False, "failed": trouble is not None, "reason": reason, "digest": None, "model": None}
        model = dict(identity.model)
        return {"ready": True, "failed": False, "reason": None, "digest": identity.digest, "model": model}

    def report(self) -> View:
        hindrances = self._hindrances()
        alarms = hindrances | self._alarms_of_studies()
        return {
            "status": "degraded" if any(alarms.values()) else "ok",
            "ready": not any(alarms[name] for name in hindrances),
            "orthanc": {"in_contact": not alarms["orthanc-out-of-reach"]},
            "pipeline": self.pipeline(),
            "alarms": sorted(name for name, is_on in alarms.items() if is_on),
        }

    def alarms(self) -> dict[str, bool]:
        """Every alarm there is, and whether it is on."""
        return self._hindrances() | self._alarms_of_studies()

    def _hindrances(self) -> dict[str, bool]:
        return {
            "orthanc-out-of-reach": not self._is_in_contact(),
            "pipeline-down": self._worker.identity is None,
            "disk-full": self._space.is_low,
            DATABASE_OUT_OF_REACH: not self._watchdog.is_beating,
        }

    def _alarms_of_studies(self) -> dict[str, bool]:
        try:
            return self._alarms.states()
        except Exception as error:
            if not is_local_fault(error):
                raise
            # It need not have missed a heartbeat yet.
            return {DATABASE_OUT_OF_REACH: True}

    def _is_in_contact(self) -> bool:
        contact = self._intake.last_contact
        return contact is not None and time.time() - contact < max(CONTACT_SECONDS, 3 * self._settings.poll_seconds)


def _token_guard(settings: ServiceSettings) -> Callable[..., None]:
    expected = None if settings.token is None else f"Bearer {settings.token.get_secret_value()}"

    def guard(authorization: Annotated[str, Header()] = "") -> None:
        if expected is not None and not secrets.compare_digest(authorization.encode(), expected.encode()):
            raise HTTPException(401, "the service token is missing or wrong")

    return guard


def _add_health_routes(application: FastAPI, health: _Health, registry: CollectorRegistry) -> None:
    @application.get("/livez")
    def livez() -> View:
        return {"status": "ok"}

    @application.get("/readyz")
    def readyz() -> JSONResponse:
        report = health.report()
        return JSONResponse(report, status_code=200 if report["ready"] else 503)

    @application.get("/metrics")
    def prometheus() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _add_curia_routes(
    application: FastAPI, health: _Health, *, ledger: Ledger, intake: Intake, guard: Callable[..., None]
) -> None:
    guarded: Any = [Depends(guard)]
    pages = Environment(
        loader=PackageLoader("orthanc_plugin.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def listed(rows: list[StudyRow]) -> View:
        return work_list_view(rows, pipeline=health.pipeline(), overdue_seconds=health.overdue_seconds)

    def page(rows: list[StudyRow], *, up: str) -> Response:
        """*up* leads from the page to Orthanc's root."""
        view = listed(rows)
        return HTMLResponse(pages.get_template("work_list.html").render(view, up=up))

    @application.post("/nudge", dependencies=guarded, status_code=202)
    def nudge(event: Nudge) -> View:
        intake.nudge(event.study)
        return {"accepted": True}

    @application.get("/curia/worklist", dependencies=guarded)
    def work_list(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        rows = ledger.work_list(limit)
        if _wants_page(request):
            return page(rows, up="../")
        return JSONResponse(listed(rows))

    @application.get("/curia/studies/{orthanc_id}", dependencies=guarded)
    def study(request: Request, orthanc_id: StudyId) -> Response:
        row = ledger.study_row(orthanc_id)
        if _wants_page(request):
            return page([] if row is None else [row], up="../../")
        if row is None:
            raise HTTPException(404, "this study was not seen yet")
        return JSONResponse(study_view(row, overdue_seconds=health.overdue_seconds))

    @application.post("/curia/studies/{orthanc_id}/run", dependencies=guarded, status_code=202)
    def run(orthanc_id: StudyId) -> View:
        row = ledger.study_row(orthanc_id)
        intake.force(orthanc_id)
        return {"accepted": True, "state": State.WAITING.value if row is None else row.state.value}

    @application.get("/curia/health", dependencies=guarded)
    def curia_health() -> View:
        return health.report()


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
