"""PostgreSQL holds columns to their lengths and takes no NUL: what comes from outside is bounded before."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from integration.running_postgres import running_postgres
from orthanc_plugin.archive.answers import Series, Study
from orthanc_plugin.copies.outbox import Outbox
from orthanc_plugin.domain.facts import KnownSeries
from orthanc_plugin.domain.notice import Notice
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.jobs import PlannedCopy
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.manifest import Manifest
from service_cases import JOB, stored

pytestmark = pytest.mark.integration
AWKWARD = "M\0\ud800\xfc" + "9" * 5000


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    with running_postgres() as url:
        ledger = Ledger.open(url)
        yield ledger
        ledger.close()


def test_a_study_with_awkward_values_is_put_down(ledger: Ledger) -> None:
    names = {"StudyInstanceUID": "1." * 50, "StudyDescription": AWKWARD}
    study = Study.model_validate(
        {"ID": "orthanc-1", "IsStable": True, "LastUpdate": "20260131T120000", "MainDicomTags": names}
    ).facts()
    tags = {"SeriesInstanceUID": AWKWARD, "Modality": AWKWARD, "ImagesInAcquisition": "9" * 250}
    series = Series.model_validate({"Instances": ["a-1"], "MainDicomTags": tags}).facts()
    ledger.studies.note_series("orthanc-1", [series])
    ledger.studies.note(study, State.WAITING, reason=AWKWARD)
    row = ledger.studies.row("orthanc-1")
    assert row is not None
    assert row.series == (KnownSeries(series.series_instance_uid, series.modality, 1),)
    assert row.reason is not None
    assert len(row.reason) == 200


def test_what_the_pipeline_says_is_put_down(ledger: Ledger) -> None:
    study = Study.model_validate(
        {"ID": "orthanc-2", "IsStable": True, "LastUpdate": "20260131T120000", "MainDicomTags": {}}
    ).facts()
    job = replace(JOB, orthanc_id="orthanc-2", warnings=(Notice("c", AWKWARD),))
    assert ledger.jobs.add(study, job)
    said = {"series_instance_uid": AWKWARD, "modality": "C\0T", "num_instances": 1, "decision": "rejected"}
    ledger.jobs.start(job)
    ledger.jobs.keep_result(job, State.RUNNING, Manifest.model_validate({"status": "failed", "series": [said]}))
    ledger.jobs.end(job, State.FAILED, code=AWKWARD, message=AWKWARD)
    ended = ledger.jobs.read(job.work_id)
    assert (len(ended.reason_code or ""), len(ended.reason_message or "")) == (64, 1000)


def test_what_a_destination_answers_is_put_down(ledger: Ledger) -> None:
    study = Study.model_validate(
        {"ID": "orthanc-3", "IsStable": True, "LastUpdate": "20260131T120000", "MainDicomTags": {}}
    ).facts()
    job = replace(JOB, work_id="w3", orthanc_id="orthanc-3")
    ledger.jobs.add(study, job)
    for state in (State.RUNNING, State.WRITING, State.STORING):
        ledger.jobs.move(job, state)
    ledger.jobs.finish(job, [PlannedCopy("w3", "pacs", stored(), due_at=0.0)])
    outbox = Outbox(ledger.database)
    delivery = outbox.claim_due("pacs", 1.0)
    assert delivery is not None
    outbox.mark_failed(delivery, due_at=2.0, trouble=AWKWARD)
