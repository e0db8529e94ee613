"""Whose result, and of which images: on a real Orthanc, step by step, with whatever comes between two steps."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.cutting_proxy import CuttingProxy, cutting_proxy
from integration.running_site import build_small_study, with_bytes
from integration.stand_in_pipeline import uid_of
from integration.step_bench import STEPS, StepBench, step_bench
from integration.undisturbed import Undisturbed
from orthanc_plugin.archive.delivery import deliver
from orthanc_plugin.domain.errors import MisfiledError
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.pipeline.manifest import read_result, sha256_of

pytestmark = pytest.mark.integration
fault = pytest.mark.fault

LOGIN_PAGE = b"<!doctype html><title>Log in</title>"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StepBench]:
    # Without Orthanc's cache, so that it notices what becomes of its files.
    with step_bench(tmp_path_factory.mktemp("bench"), MaximumStorageCacheSize=0) as bench:
        yield bench


@pytest.fixture
def proxy(bench: StepBench) -> Iterator[CuttingProxy]:
    with cutting_proxy(bench.site.orthanc.url) as proxy:
        yield proxy


def is_on_all_images(bench: StepBench, job: Job) -> bool:
    """Whether the one report in the study is that of a run on every image of it."""
    instances = bench.site.get(f"/studies/{job.orthanc_id}/instances")
    stored = {one["MainDicomTags"]["SOPInstanceUID"] for one in instances}
    num_images = bench.site.count_images(job.orthanc_id)
    counts = range(num_images + 1)
    return [one for one in counts if uid_of(job.study_instance_uid, "SR", str(one)) in stored] == [num_images]


def spoil(path: Path, what: str) -> None:
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:400] if what == "cut" else bytes(path.stat().st_size))


OUTSIDE_THE_CHARACTER_SET: dict[str, dict[str, Any]] = {
    "8 bits, none declared": {"PatientID": b"M\xfcller"},
    "Latin-1 declared as UTF-8": {"PatientID": b"M\xfcller", "character_set": "ISO_IR 192"},
    "Latin-1": {"PatientID": b"M\xfcller", "character_set": "ISO_IR 100"},
    "half-width katakana": {"PatientID": b"\xd4\xcf\xc0\xde", "character_set": "ISO_IR 13"},
    "unknown set": {"PatientID": b"M\xfcller", "character_set": "LATIN1"},
    "a Study Instance UID": {"StudyInstanceUID": b"1.2.3.\xfc"},
}


@pytest.mark.parametrize("header", OUTSIDE_THE_CHARACTER_SET.values(), ids=OUTSIDE_THE_CHARACTER_SET)
@fault("identity in another character set", "{header}")
def test_a_result_lies_with_its_patient_or_nowhere(
    bench: StepBench, undisturbed: Undisturbed, tmp_path: Path, header: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    _, paths = build_small_study(request.node.name, tmp_path / "plain")
    study = bench.upload(with_bytes(paths, tmp_path / "sent", **header))
    job = bench.enter(study, pipeline_digest=undisturbed.pipeline_digest)
    before = bench.site.get("/statistics")["CountInstances"]
    done = bench.attempt(bench.host("identity", pool=undisturbed.pool), job, *STEPS)
    stored = bench.site.get("/statistics")["CountInstances"] - before
    assert stored == len(done.objects)
    assert bool(stored) == (done.state is State.STORED)
    assert bench.site.strays() == []
    if done.state is State.FAILED:
        assert done.reason_message
        assert "ller" not in done.reason_message
    else:
        assert bench.site.modalities(job.orthanc_id)["SR"] == 1


def test_a_result_under_a_recoded_identity_is_refused_before_anything_is_uploaded(
    bench: StepBench, proxy: CuttingProxy, tmp_path: Path
) -> None:
    _, paths = build_small_study("recoded", tmp_path / "plain")
    job = bench.enter(bench.upload(with_bytes(paths, tmp_path / "sent", PatientID=b"M\xfcller")))
    done = bench.attempt(bench.host("recoded", client=bench.reach(proxy.url)), job, *STEPS)
    assert (done.state, done.reason_code) == (State.FAILED, "filed-elsewhere")
    assert proxy.stored == 0
    assert bench.site.modalities(job.orthanc_id) == {"CT": 1}


def test_images_of_one_study_in_two_character_sets_have_their_result(bench: StepBench, tmp_path: Path) -> None:
    _, paths = build_small_study("two-sets", tmp_path / "plain")
    sent = [
        *with_bytes(paths[:2], tmp_path / "one", PatientID=b"M\xfcller", character_set="ISO_IR 100"),
        *with_bytes(paths[2:], tmp_path / "other", PatientID="Müller".encode(), character_set="ISO_IR 192"),
    ]
    job = bench.enter(bench.upload(sent))
    assert bench.attempt(bench.host("two-sets"), job, *STEPS).state is State.STORED


def test_what_orthanc_files_elsewhere_is_taken_back_at_once(bench: StepBench, tmp_path: Path) -> None:
    job = bench.arrive(build_small_study("elsewhere", tmp_path)[1])
    bench.attempt(bench.host("elsewhere"), job, "fetch", "run", "check")
    folder = bench.folder / "elsewhere" / "results" / job.work_id
    result = read_result(folder)
    assert result is not None
    # To an upload for another study this one is elsewhere, as where a script of the site's changes the patient.
    for output in result.outputs:
        with pytest.raises(MisfiledError):
            deliver(bench.client, folder / output.path, output, study_id="another")
    assert bench.site.modalities(job.orthanc_id) == {"CT": 1}


@pytest.mark.parametrize(
    "garbled",
    [lambda _: LOGIN_PAGE, lambda answer: answer[: len(answer) // 2], lambda answer: bytes(len(answer)), lambda _: b""],
    ids=["a log-in page", "cut", "zeroed", "empty"],
)
@fault("wrong answer", "for 2 of 4 images")
def test_a_run_is_on_all_images_though_other_answers_come_for_some(
    bench: StepBench,
    proxy: CuttingProxy,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    garbled: Callable[[bytes], bytes],
) -> None:
    job = bench.arrive(build_small_study(request.node.name, tmp_path)[1])
    spoilt: list[str] = []

    def altered(path: str, answer: bytes) -> bytes:
        if not path.endswith("/file") or path in spoilt or len(spoilt) == 2:
            return answer
        spoilt.append(path)
        return garbled(answer)

    proxy.altered = altered
    done = bench.attempt(bench.host("garbled", client=bench.reach(proxy.url)), job, *STEPS)
    assert len(spoilt) == 2
    assert done.state is State.STORED, done.reason_message
    assert is_on_all_images(bench, job)


@pytest.mark.parametrize("what", ["cut", "zeroed", "gone"])
@fault("source file lost", "{what}, after the download")
def test_a_run_is_on_all_images_though_the_downloaded_files_were_lost(
    bench: StepBench, tmp_path: Path, what: str
) -> None:
    """A power cut leaves files that the disk had not yet written; the next life of the service takes the work up."""
    job = bench.arrive(build_small_study(f"power-{what}", tmp_path)[1])
    bench.attempt(bench.host("power"), job, "fetch")
    files = sorted((bench.folder / "power" / "source" / job.work_id / "study").glob("*.dcm"))
    for path in files[:2]:
        spoil(path, what)
    done = bench.attempt(bench.host("power"), job, "run", "check", "store", "finish")
    assert done.state is State.STORED, done.reason_message
    assert is_on_all_images(bench, job)


@pytest.mark.parametrize("what", ["cut", "zeroed", "gone"])
@fault("Orthanc's own file", "{what}", short=True)
def test_a_file_that_orthanc_itself_has_lost_ends_the_study_and_holds_nobody_up(
    bench: StepBench, tmp_path: Path, what: str
) -> None:
    job = bench.arrive(build_small_study(f"storage-{what}", tmp_path)[1])
    instance = bench.site.get(f"/studies/{job.orthanc_id}/instances")[0]
    (path,) = (bench.site.orthanc.folder / "storage").rglob(instance["FileUuid"])
    spoil(path, what)
    patient = bench.reach(bench.site.orthanc.url, patience_seconds=60.0)
    done = bench.attempt(bench.host("storage", client=patient), job, "fetch")
    assert (done.state, done.reason_code) == (State.FAILED, "archive-file-damaged")
    assert bench.site.modalities(job.orthanc_id) == {"CT": 1}


CHANGES: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "deleted": ("DELETE", "/studies/{study}", None),
    "anonymised": ("POST", "/studies/{study}/anonymize", {"KeepSource": False}),
    "split": ("POST", "/studies/{study}/split", {"Series": ["{series}"], "KeepSource": False}),
    "merged": ("POST", "/studies/{other}/merge", {"Resources": ["{study}"], "KeepSource": False}),
}


@pytest.mark.parametrize("change", CHANGES)
@fault("study goes", "{change}, between check and upload", short=True)
def test_a_study_that_goes_between_check_and_upload_leaves_no_result(
    bench: StepBench, proxy: CuttingProxy, tmp_path: Path, change: str
) -> None:
    job = bench.arrive(build_small_study(f"goes-{change}", tmp_path)[1])
    other = bench.arrive(build_small_study(f"goes-{change}-other", tmp_path)[1])
    (series,) = bench.site.get(f"/studies/{job.orthanc_id}")["Series"]
    method, path, body = CHANGES[change]
    words = {"{study}": job.orthanc_id, "{series}": series, "{other}": other.orthanc_id}

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        return words.get(value, value)

    def go() -> None:
        address = path.format(study=job.orthanc_id, other=other.orthanc_id)
        content = None if body is None else {key: filled(value) for key, value in body.items()}
        bench.site.orthanc.http.request(method, address, json=content).raise_for_status()

    proxy.before_upload = go
    done = bench.attempt(bench.host("goes", client=bench.reach(proxy.url)), job, *STEPS)
    assert proxy.before_upload is None
    assert done.state is State.SUPERSEDED
    assert done.reason_code in ("work-outdated", "study-gone")
    assert job.orthanc_id not in bench.site.get("/studies")
    assert bench.site.strays() == []
    assert bench.looked_again[-1] == job.orthanc_id


def test_a_host_that_dies_after_such_an_upload_leaves_it_to_the_next_to_take_back(
    bench: StepBench, tmp_path: Path
) -> None:
    job = bench.arrive(build_small_study("goes-dies", tmp_path)[1])
    bench.attempt(host := bench.host("dies"), job, "fetch", "run", "check")
    seg = (bench.folder / "dies" / "results" / job.work_id / "SEG.dcm").read_bytes()
    dead = bench.ledger.jobs.read(job.work_id)
    bench.ledger.jobs.move(dead, State.STORING)
    bench.ledger.jobs.plan(dead, {uid_of(job.study_instance_uid, "SEG", "4"): sha256_of(seg)})
    bench.site.orthanc.http.delete(f"/studies/{job.orthanc_id}").raise_for_status()
    bench.client.store_instance(seg)
    done = bench.attempt(host, job, "store", "finish")
    assert done.state is State.SUPERSEDED
    assert job.orthanc_id not in bench.site.get("/studies")


MODALITIES = {
    "NUL": b"CT\0\0",
    "NUL between": b"CT\0M",
    "8 bits": b"CT\xff",
    "a second value": b"CT\\\0",
    "8 bits alone": b"\xff\xfe",
}


@pytest.mark.parametrize("modality", MODALITIES.values(), ids=MODALITIES)
@fault("Modality", "{modality}")
def test_a_modality_that_is_none_leaves_the_worker_alive(
    bench: StepBench, undisturbed: Undisturbed, tmp_path: Path, modality: bytes, request: pytest.FixtureRequest
) -> None:
    _, paths = build_small_study(request.node.name, tmp_path / "plain")
    # Orthanc takes the series' modality from the image that came first.
    sent = with_bytes(paths[1:], tmp_path / "sent", character_set="ISO_IR 100", Modality=modality)
    study, starts = bench.upload([paths[0], *sent]), undisturbed.starts
    job = bench.enter(study, pipeline_digest=undisturbed.pipeline_digest)
    done = bench.attempt(bench.host("modality", pool=undisturbed.pool), job, *STEPS)
    assert done.state in (State.STORED, State.FAILED, State.NOT_APPLICABLE)
    assert (done.crashes, undisturbed.starts) == (0, starts)
    assert not str(done.reason_code).startswith("exit-")
