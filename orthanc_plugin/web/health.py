"""What the service says of itself to machines."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from orthanc_plugin.pipeline.protocol import RunningModel
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.upkeep.alarms import ORTHANC_OUT_OF_REACH, Alarms


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PipelineView(_View):
    """How it stands with the pipeline.

    failed : it did not come up, rather than being loaded still.
    """

    ready: bool
    failed: bool
    reason: str | None
    digest: str | None
    model: RunningModel | None


class OrthancView(_View):
    in_contact: bool


class HealthReport(_View):
    """How it stands with the service.

    ready : whether work can go on; an alarm of a study is no reason against it.
    """

    status: Literal["ok", "degraded"]
    ready: bool
    orthanc: OrthancView
    pipeline: PipelineView
    alarms: tuple[str, ...]


def pipeline_view(workers: WorkerPool) -> PipelineView:
    identity = workers.identity
    if identity is None:
        trouble = workers.trouble
        reason = trouble or "the pipeline is being loaded"
        return PipelineView(ready=False, failed=trouble is not None, reason=reason, digest=None, model=None)
    return PipelineView(ready=True, failed=False, reason=None, digest=identity.pipeline_digest, model=identity.model)


def health_report(alarms: Alarms, workers: WorkerPool) -> HealthReport:
    states = alarms.states()
    return HealthReport(
        status="degraded" if any(states.values()) else "ok",
        ready=not any(states[name] for name in alarms.HINDRANCES),
        orthanc=OrthancView(in_contact=not states[ORTHANC_OUT_OF_REACH]),
        pipeline=pipeline_view(workers),
        alarms=tuple(sorted(name for name, is_on in states.items() if is_on)),
    )
