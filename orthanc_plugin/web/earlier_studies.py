"""Series of earlier studies that the study page lays beside today's."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.ledger.studies import StudyRow
from orthanc_plugin.pipeline.manifest import Manifest, Registration


class EarlierSeries(BaseModel):
    """One that was laid on a series of today's.

    beside : that series
    studies : Orthanc's ids of those that it may lie in
    days_before : to today's study, None where a date is missing
    transform : Orthanc's id of the Spatial Registration that tells how the two lie; None where there is none
    verdict : on that
    """

    model_config = ConfigDict(frozen=True)

    series: str
    beside: str
    studies: tuple[str, ...]
    days_before: int | None
    transform: str | None
    verdict: str


def earlier_series(row: StudyRow) -> tuple[EarlierSeries, ...]:
    """Those of the study's current result."""
    job = row.job
    if job is None or job.result is None:
        return ()
    return tuple(
        EarlierSeries(
            series=one.moving_series_instance_uid,
            beside=one.fixed_series_instance_uid,
            studies=job.priors or (),
            days_before=_days_before(job.result, one),
            transform=_transform(job.objects, one),
            verdict=one.verdict,
        )
        for one in job.result.registration
    )


def _days_before(result: Manifest, one: Registration) -> int | None:
    days = (
        date.days_before
        for followed in result.follow_up
        if followed.series_instance_uid == one.fixed_series_instance_uid
        for date in followed.dates
        if date.series_instance_uid == one.moving_series_instance_uid
    )
    return next(days, None)


def _transform(objects: Iterable[StoredObject], one: Registration) -> str | None:
    of_matrices = (
        stored.orthanc_instance_id
        for stored in objects
        if stored.kind == "REG" and stored.sop_instance_uid in one.outputs
    )
    return next(of_matrices, None)
