"""The steps one by one on a real Orthanc: what changes between two of them, on which host the next one runs, and
what goes to another archive."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from integration.running_site import changed
from integration.step_bench import STEPS, StepBench, step_bench
from orthanc_plugin.copies.outbox import Dispatcher, Outbox
from orthanc_plugin.demo.local_orthanc import CALLING_AET, USER, LocalOrthanc
from orthanc_plugin.domain.source import missing_instances, select_source
from orthanc_plugin.domain.states import State
from orthanc_plugin.pipeline.manifest import sha256_of
from orthanc_plugin.site.destinations import Destination

pytestmark = pytest.mark.integration

MakeStudy = Callable[[str], tuple[str, list[Path]]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StepBench]:
    with step_bench(tmp_path_factory.mktemp("bench")) as bench:
        yield bench


def test_a_host_goes_on_where_another_died_between_two_uploads(bench: StepBench, make_study: MakeStudy) -> None:
    job = bench.arrive(make_study("steps-taken-over")[1])
    first, second = bench.host("first"), bench.host("second")
    bench.attempt(first, job, "fetch", "run", "check")
    results = bench.folder / "first" / "results" / job.work_id
    seg = (results / "SEG.dcm").read_bytes()
    # The first host notes what it is about to store, stores one of the two and dies.
    dead = bench.ledger.jobs.read(job.work_id)
    bench.ledger.jobs.move(dead, State.STORING)
    bench.ledger.jobs.plan(dead, {str(dcmread(results / "SEG.dcm").SOPInstanceUID): sha256_of(seg)})
    bench.client.store_instance(seg)
    done = bench.attempt(second, job, "store", "finish")
    assert done.state is State.STORED, done.reason_message
    assert bench.site.modalities(job.orthanc_id) == {"CT": 1, "SEG": 1, "SR": 1}
    # The ledger holds the bytes that lie in the archive: the first host's SEG, the second's SR.
    assert bench.stored_sha256(done) == {stored.kind: stored.sha256 for stored in done.objects}
    assert bench.stored_sha256(done)["SEG"] == sha256_of(seg)


def test_what_a_dead_host_stored_under_another_uid_is_taken_back(bench: StepBench, make_study: MakeStudy) -> None:
    job = bench.arrive(make_study("steps-abandoned")[1])
    host = bench.host("abandoned")
    bench.attempt(host, job, "fetch", "run", "check")
    # The dead host's device rounded otherwise: other content, another UID.
    abandoned = dcmread(bench.folder / "abandoned" / "results" / job.work_id / "SEG.dcm")
    abandoned.SOPInstanceUID = generate_uid()
    abandoned.save_as(bench.folder / "abandoned.dcm")
    dicom = (bench.folder / "abandoned.dcm").read_bytes()
    bench.client.store_instance(dicom)
    bench.ledger.jobs.plan(bench.ledger.jobs.read(job.work_id), {str(abandoned.SOPInstanceUID): sha256_of(dicom)})
    done = bench.attempt(host, job, "store", "finish")
    assert done.state is State.STORED, done.reason_message
    assert bench.client.instances_named(str(abandoned.SOPInstanceUID)) == ()
    assert bench.site.modalities(job.orthanc_id) == {"CT": 1, "SEG": 1, "SR": 1}


def test_what_orthanc_tells_of_a_study(bench: StepBench, make_study: MakeStudy, tmp_path: Path) -> None:
    _, paths = make_study("steps-facts")
    job = bench.arrive(changed(paths, tmp_path, ImagesInAcquisition=str(len(paths) + 3), StudyDescription="FOLLOW-UP"))
    (series,) = bench.client.series(job.orthanc_id)
    source = select_source([series])
    assert source is not None
    assert missing_instances(source) == 3
    assert bench.client.calling_aet(series.instance_ids[0]) == CALLING_AET
    assert bench.client.study(job.orthanc_id).tags["StudyDescription"] == "FOLLOW-UP"
    over_rest = bench.client.store_instance(changed(paths[:1], tmp_path, SOPInstanceUID="1.2.3")[0].read_bytes())
    assert bench.client.calling_aet(over_rest.instance_id) is None


def test_bytes_that_nobody_meant_to_store_are_no_result(bench: StepBench, make_study: MakeStudy) -> None:
    job = bench.arrive(make_study("steps-foreign")[1])
    host = bench.host("foreign")
    bench.attempt(host, job, "fetch", "run", "check")
    other = dcmread(bench.folder / "foreign" / "results" / job.work_id / "SEG.dcm")
    other.ImageComments = "another's"
    other.save_as(bench.folder / "other.dcm")
    bench.client.store_instance((bench.folder / "other.dcm").read_bytes())
    done = bench.attempt(host, job, "store")
    assert (done.state, done.reason_code) == (State.FAILED, "delivery-failed")


@pytest.mark.parametrize(
    ("values", "code"),
    [({"PatientName": "CORRECTED"}, "work-outdated"), ({"PatientID": "MERGED"}, "study-gone")],
    ids=["another name", "another patient"],
)
def test_a_patient_corrected_or_merged_before_storing_stores_nothing_and_looks_again(
    bench: StepBench, make_study: MakeStudy, tmp_path: Path, values: dict[str, str], code: str
) -> None:
    _, paths = make_study(f"steps-{code}")
    job = bench.arrive(paths)
    host = bench.host("demographics")
    bench.attempt(host, job, "fetch", "run", "check")
    bench.site.orthanc.http.delete(f"/studies/{job.orthanc_id}").raise_for_status()
    again = bench.arrive(changed(paths, tmp_path, **values))
    done = bench.attempt(host, job, "store")
    assert (done.state, done.reason_code) == (State.SUPERSEDED, code)
    assert bench.looked_again[-1] == job.orthanc_id
    assert bench.site.modalities(again.orthanc_id) == {"CT": 1}
    # The work on the corrected study is other work, and goes through.
    assert again.work_id != job.work_id
    assert bench.attempt(host, again, *STEPS).state is State.STORED


def test_one_study_uid_under_two_patients_stores_nothing(
    bench: StepBench, make_study: MakeStudy, tmp_path: Path
) -> None:
    _, paths = make_study("steps-collision")
    job = bench.arrive(paths)
    host = bench.host("collision")
    bench.attempt(host, job, "fetch", "run", "check")
    bench.site.send(changed(paths, tmp_path, PatientID="SOMEBODY-ELSE"))
    done = bench.attempt(host, job, "store", "finish")
    assert (done.state, done.reason_code) == (State.FAILED, "study-uid-collision")
    assert "SOMEBODY" not in str(done.reason_message)
    for orthanc_id in bench.client.studies_named(job.study_instance_uid):
        assert bench.site.modalities(orthanc_id) == {"CT": 1}


def test_a_late_slice_hands_the_earlier_report_to_the_pipeline(bench: StepBench, make_study: MakeStudy) -> None:
    _, paths = make_study("steps-late")
    host = bench.host("late")
    first = bench.attempt(host, bench.arrive(paths[:-1]), *STEPS)
    second = bench.attempt(host, bench.arrive(paths[-1:]), *STEPS)
    (report,) = (stored for stored in first.objects if stored.kind == "SR")
    assert first.result is not None
    assert second.result is not None
    assert first.result.warnings == ()
    assert [warning.message for warning in second.result.warnings] == [report.sop_instance_uid]
    assert bench.ledger.jobs.read(first.work_id).state is State.SUPERSEDED


def test_objects_reach_a_peer_that_was_down_once_and_by_either_way(bench: StepBench, make_study: MakeStudy) -> None:
    peer = bench.peer
    by_store = Destination(name="pacs", modality="peer", storage_commitment=True, kinds=frozenset({"SR"}))
    by_stow = Destination(name="web", stow_url=f"{peer.url}/dicom-web", stow_username=USER, stow_password=peer.password)
    job = bench.attempt(bench.host("forward", by_store, by_stow), bench.arrive(make_study("steps-forward")[1]), *STEPS)
    outbox = Outbox(bench.ledger.database)
    dispatchers = [
        Dispatcher(outbox, one, client=bench.client, retry_seconds=[60.0], poll_seconds=1.0, stop=threading.Event())
        for one in (by_store, by_stow)
    ]
    now = job.finished_at or 0.0
    assert outbox.count_pending() == {"pacs": 1, "web": 2}
    for dispatcher in dispatchers:
        dispatcher.send_due(now + 1.0)
    assert outbox.count_pending() == {"pacs": 1, "web": 2}
    row = bench.ledger.studies.row(job.orthanc_id)
    assert row is not None
    assert {(one.destination, one.attempts) for one in row.copies} == {("pacs", 1), ("web", 1), ("web", 0)}
    bench.let_the_peer_know_us()
    with peer:
        for dispatcher in dispatchers:
            dispatcher.send_due(now + 1e4)
        assert outbox.count_pending() == {}
        assert _sop_instance_uids(peer) == sorted(stored.sop_instance_uid for stored in job.objects)
        for dispatcher in dispatchers:
            dispatcher.send_due(now + 1e6)
    row = bench.ledger.studies.row(job.orthanc_id)
    assert row is not None
    assert sorted((one.destination, one.attempts) for one in row.copies) == [
        ("pacs", 2),
        ("web", 1),
        ("web", 2),
    ]


def _sop_instance_uids(peer: LocalOrthanc) -> list[str]:
    instances = peer.http.get("/instances", params={"expand": ""}).json()
    return sorted(one["MainDicomTags"]["SOPInstanceUID"] for one in instances)
