"""What is laid beside today's series, told from a result and its objects."""

import time
from dataclasses import replace

import pytest

import service_cases
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.studies import StudyRow
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.web.earlier_studies import EarlierSeries, earlier_series
from service_cases import stored

REGISTERED = {
    "fixed_series_instance_uid": "1.1", "moving_series_instance_uid": "2.1", "transform": "rigid", "verdict": "good",
    "quality": {}, "outputs": ("5.1", "5.2"),
}  # fmt: skip
FOLLOWED = {
    "series_instance_uid": "1.1", "courses": (), "sum_of_diameters": None,
    "dates": ({"study_instance_uid": "2", "series_instance_uid": "2.1", "days_before": 90},
              {"study_instance_uid": "1", "series_instance_uid": "1.1", "days_before": 0}),
}  # fmt: skip


def row(**result: object) -> StudyRow:
    objects = (stored("SEG", instance="5.1", orthanc_id="carried"), stored("REG", instance="5.2", orthanc_id="matrix"))
    manifest = Manifest.model_validate({"status": "completed"} | result)
    job = replace(service_cases.JOB, result=manifest, objects=objects, priors=("orthanc-2",))
    return StudyRow("orthanc-1", "1", State.STORED, None, None, time.time(), job, (), frozenset(), ())


@pytest.mark.parametrize(("followed", "days"), [((FOLLOWED,), 90), ((), None)])
def test_an_earlier_series_is_named_with_its_matrix_and_its_age(followed: tuple[object, ...], days: int | None) -> None:
    (found,) = earlier_series(row(registration=(REGISTERED,), follow_up=followed))
    assert found == EarlierSeries(
        series="2.1", beside="1.1", studies=("orthanc-2",), days_before=days, transform="matrix", verdict="good"
    )


def test_one_that_could_not_be_aligned_has_no_matrix() -> None:
    failed = REGISTERED | {"verdict": "failed", "outputs": ()}
    (found,) = earlier_series(row(registration=(failed,)))
    assert (found.transform, found.verdict) == (None, "failed")


def test_without_a_registration_there_is_nothing_beside_it() -> None:
    assert earlier_series(row()) == ()
    assert earlier_series(replace(row(), job=None)) == ()
