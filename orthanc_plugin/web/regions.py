"""Regions that people marked in a study: kept under a name, and listed with how far they are."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.ledger.studies import Studies, StudyRow
from orthanc_plugin.pipeline.manifest import Measurement
from orthanc_plugin.pipeline.protocol import MarkedRegion
from orthanc_plugin.web.guard import Guard
from orthanc_plugin.web.person_name import person_name
from orthanc_plugin.web.similarity import PointsAt
from orthanc_plugin.web.study_id import StudyId
from orthanc_plugin.work.work_beside import WorkBeside

# LO (PS3.5 6.2): one value of at most 64 characters, the backslash separates values.
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\\\x00-\x1f\x7f]+$")
]


class RegionToKeep(BaseModel):
    """What somebody marks, and calls by a name.

    name : a word of the vocabulary, which is written with its code, or any other
    """

    model_config = ConfigDict(extra="forbid")

    points: PointsAt
    threshold: float = Field(ge=0, le=1)
    name: Name


class KeptRegion(BaseModel):
    """A region that somebody marked.

    segmentation : Orthanc's id of the SEG, once it is stored
    """

    name: str
    person: str
    state: State
    reason: str | None
    series: str
    point_lps_mm: tuple[float, float, float]
    measurements: tuple[Measurement, ...]
    segmentation: str | None


def add_region_routes(application: FastAPI, guard: Guard, *, studies: Studies, beside: WorkBeside) -> None:
    @application.post("/curia/studies/{orthanc_id}/regions", status_code=202)
    def keep(
        orthanc_id: StudyId, region: RegionToKeep, person: Annotated[str, Depends(guard.may("judge", "keep"))]
    ) -> KeptRegion:
        row = _row(studies, orthanc_id)
        if row.job is None or row.job.result is None:
            raise HTTPException(404, "this study has no result")
        if all(point.label != 1 for point in region.points):
            raise HTTPException(422, "points: expected at least one with the label 1")
        marked = MarkedRegion(
            points=tuple(point.point for point in region.points),
            threshold=region.threshold,
            name=region.name,
            person=person_name(person),
        )
        return kept_region(beside.keep(row.job, marked), marked)

    @application.get("/curia/studies/{orthanc_id}/regions", dependencies=[Depends(guard.may("view"))])
    def kept(orthanc_id: StudyId) -> tuple[KeptRegion, ...]:
        return kept_regions(_row(studies, orthanc_id))


def kept_regions(row: StudyRow) -> tuple[KeptRegion, ...]:
    """The kept regions of a study, the oldest first."""
    return tuple(kept_region(job, job.marked) for job in row.marked if job.marked is not None)


def kept_region(job: Job, marked: MarkedRegion) -> KeptRegion:
    first = next(point for point in marked.points if point.label == 1)
    segmentations = [stored.orthanc_instance_id for stored in job.objects if stored.kind == "SEG"]
    return KeptRegion(
        name=marked.name,
        person=marked.person,
        state=job.state,
        reason=job.reason_message,
        series=first.series,
        point_lps_mm=first.point_lps_mm,
        measurements=() if job.result is None else job.result.measurements,
        segmentation=segmentations[0] if segmentations and job.state is State.STORED else None,
    )


def _row(studies: Studies, orthanc_id: str) -> StudyRow:
    row = studies.row(orthanc_id)
    if row is None:
        raise HTTPException(404, "this study was not seen yet")
    return row
