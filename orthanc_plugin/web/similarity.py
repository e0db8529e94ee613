"""What is asked of a study's kept features: where findings come from, what looks like a place, and a region of that."""

from typing import Annotated, Literal

from fastapi import Body, Depends, FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from orthanc_plugin.domain.errors import WorkerError
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.ledger.studies import Studies
from orthanc_plugin.pipeline.kept_evidence import EvidenceMap, read_evidence
from orthanc_plugin.pipeline.protocol import (
    EXIT_DONE,
    Point,
    Region,
    RegionRequest,
    Reply,
    SimilarityMap,
    SimilarityRequest,
)
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.web.guard import Guard
from orthanc_plugin.web.study_id import StudyId
from orthanc_plugin.work.encoding import Encoding

MAX_POINTS = 100
PATIENCE_SECONDS = 2.0
"""Seconds to wait for a free worker: the plugin waits five seconds for all of the answer."""

Millimetres = Annotated[float, Field(ge=-1e5, le=1e5)]


class PointedAt(BaseModel):
    """A place that somebody pointed at.

    label : 1 for "this, and what looks like it", -1 for "not this".
    """

    model_config = ConfigDict(extra="forbid")

    series: str = Field(min_length=1, max_length=64)
    point_lps_mm: tuple[Millimetres, Millimetres, Millimetres]
    label: Literal[1, -1]

    @property
    def point(self) -> Point:
        return Point(series=self.series, point_lps_mm=self.point_lps_mm, label=self.label)


PointsAt = Annotated[list[PointedAt], Field(min_length=1, max_length=MAX_POINTS)]


class CutAt(BaseModel):
    """The points, and where to cut.

    threshold : the least similarity, a cosine.
    """

    model_config = ConfigDict(extra="forbid")

    points: PointsAt
    threshold: float = Field(ge=0, le=1)


class Maps(BaseModel):
    """One for each series; maps is empty while the study is encoded again. waiting : why there is none yet."""

    maps: tuple[SimilarityMap, ...] = ()
    seconds: float = 0.0
    waiting: str | None = None


class Evidence(BaseModel):
    """Where findings come from; maps is empty while the study is encoded again. waiting : why there is none yet."""

    maps: tuple[EvidenceMap, ...] = ()
    waiting: str | None = None


class CutOut(BaseModel):
    """What was cut out at the points.

    region : None where nothing at the points is as alike as that.
    """

    region: Region | None = None
    seconds: float = 0.0
    waiting: str | None = None


ENCODING = "the study's features are no longer kept: it is being encoded again"


def add_similarity_routes(
    application: FastAPI, guard: Guard, *, studies: Studies, workers: WorkerPool, encoding: Encoding
) -> None:
    asking = Asking(studies, workers, encoding)

    @application.get("/curia/studies/{orthanc_id}/evidence", dependencies=[Depends(guard.may("view"))])
    def evidence(orthanc_id: StudyId, response: Response) -> Evidence:
        job = asking.job(orthanc_id)
        if not asking.are_kept(job):
            response.status_code = 202
            return Evidence(waiting=ENCODING)
        return Evidence(maps=read_evidence(encoding.kept.of(job.work_id)))

    @application.post("/curia/studies/{orthanc_id}/similarity", dependencies=[Depends(guard.may("judge", "point"))])
    def similarity(orthanc_id: StudyId, points: Annotated[PointsAt, Body()], response: Response) -> Maps:
        job = asking.job(orthanc_id)
        if not asking.are_kept(job):
            response.status_code = 202
            return Maps(waiting=ENCODING)
        said = tuple(point.point for point in points)
        reply = asking.ask(SimilarityRequest(id=job.work_id, features=encoding.kept.of(job.work_id), points=said))
        return Maps(maps=reply.maps, seconds=reply.seconds)

    @application.post("/curia/studies/{orthanc_id}/cut", dependencies=[Depends(guard.may("judge"))])
    def cut(orthanc_id: StudyId, at: CutAt, response: Response) -> CutOut:
        job = asking.job(orthanc_id)
        if not asking.are_kept(job):
            response.status_code = 202
            return CutOut(waiting=ENCODING)
        said = tuple(point.point for point in at.points)
        folder = encoding.kept.of(job.work_id)
        reply = asking.ask(RegionRequest(id=job.work_id, features=folder, points=said, threshold=at.threshold))
        return CutOut(region=reply.region, seconds=reply.seconds)


class Asking:
    """Questions to a worker about the features of a study, with what can go wrong in the web's terms."""

    def __init__(self, studies: Studies, workers: WorkerPool, encoding: Encoding) -> None:
        self._studies = studies
        self._workers = workers
        self._encoding = encoding

    def job(self, orthanc_id: str) -> Job:
        """The study's current work, which has a result."""
        row = self._studies.row(orthanc_id)
        if row is None or row.job is None or row.job.result is None:
            raise HTTPException(404, "this study has no result")
        return row.job

    def are_kept(self, job: Job) -> bool:
        """Whether features are there; where they are not, they are being made."""
        if self._encoding.kept.are_kept(job.work_id):
            return True
        trouble = self._encoding.ask_for(job.work_id)
        if trouble is not None:
            raise HTTPException(409, f"the study could not be encoded again: {trouble}")
        return False

    def ask(self, request: SimilarityRequest | RegionRequest) -> Reply:
        try:
            reply = self._workers.ask(request, patience_seconds=PATIENCE_SECONDS)
        except WorkerError as error:
            raise HTTPException(503, str(error), headers={"Retry-After": "2"}) from error
        if reply.exit_code != EXIT_DONE:
            raise HTTPException(422, reply.message or "the worker did not understand the question")
        return reply
