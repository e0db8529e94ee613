"""An earlier study of the patient goes to the pipeline beside today's, and nothing wrong with it stops today's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.cutting_proxy import cutting_proxy
from integration.running_site import build_small_study, changed
from integration.step_bench import STEPS, StepBench, step_bench
from orthanc_plugin.demo.local_orthanc import LocalOrthanc
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.jobs import Job

pytestmark = pytest.mark.integration
fault = pytest.mark.fault


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StepBench]:
    with step_bench(tmp_path_factory.mktemp("bench"), MaximumStorageCacheSize=0) as bench:
        yield bench


class Patient:
    """A patient of one's own, whose studies are sent when they are asked for."""

    def __init__(self, bench: StepBench, name: str, folder: Path) -> None:
        self._bench, self.name, self._folder = bench, name, folder

    def study(self, date: str, **values: str) -> Job:
        folder = self._folder / date
        folder.mkdir()
        _, paths = build_small_study(f"{self.name}-{date}", folder / "plain")
        return self._bench.arrive(changed(paths, folder, PatientID=self.name, StudyDate=date, **values))


@pytest.fixture
def patient(bench: StepBench, tmp_path: Path, request: pytest.FixtureRequest) -> Patient:
    return Patient(bench, f"P{abs(hash(request.node.name)) % 10**8}", tmp_path)


def said(job: Job) -> list[str]:
    """What pipeline and service have to say of the priors."""
    assert job.state is State.STORED, job.reason_message
    assert job.result is not None
    of_pipeline = [f"{one.code}: {one.message}" for one in job.result.warnings if one.code == "prior"]
    return [*of_pipeline, *(notice.code for notice in job.warnings)]


def test_the_latest_earlier_study_with_its_masks_is_handed_over(bench: StepBench, patient: Patient) -> None:
    patient.study("20230101")
    host = bench.host("latest", priors=1)
    assert said(bench.attempt(host, patient.study("20240101"), *STEPS)) == ["prior: 4 files"]
    # The second has a SEG of ours by now, and nothing is later than the third.
    assert said(bench.attempt(host, patient.study("20250101"), *STEPS)) == ["prior: 5 files"]
    assert said(bench.attempt(host, patient.study("20220101"), *STEPS)) == ["prior-not-found"]


def test_as_many_as_the_site_asks_for_are_handed_over(bench: StepBench, patient: Patient) -> None:
    for year in ("2021", "2022", "2023"):
        patient.study(f"{year}0101")
    assert said(bench.attempt(bench.host("many", priors=2), patient.study("20240101"), *STEPS)) == 2 * [
        "prior: 4 files"
    ]
    assert said(bench.attempt(bench.host("none", priors=0), patient.study("20250101"), *STEPS)) == []


@pytest.mark.parametrize(
    "other",
    [{"IssuerOfPatientID": "ELSEWHERE"}, {"PatientBirthDate": "19010101"}, {"PatientSex": "F"}, {"Modality": "MR"}],
    ids=str,
)
def test_somebody_else_or_something_else_is_no_prior(bench: StepBench, patient: Patient, other: dict[str, str]) -> None:
    patient.study("20230101", **other)
    assert said(bench.attempt(bench.host("else", priors=1), patient.study("20240101"), *STEPS)) == ["prior-not-found"]


@pytest.fixture(scope="module")
def archive(bench: StepBench) -> Iterator[LocalOrthanc]:
    """Another Orthanc, which knows ours."""
    bench.let_the_peer_know_us()
    with bench.peer as peer:
        yield peer


def lay_up(archive: LocalOrthanc, name: str, date: str, folder: Path, **values: str) -> str:
    """A study in the archive alone; its UID."""
    folder = folder / f"laid-up-{date}"
    folder.mkdir()
    uid, paths = build_small_study(f"{name}-{date}", folder / "plain")
    for path in changed(paths, folder, PatientID=name, StudyDate=date, **values):
        archive.http.post("/instances", content=path.read_bytes()).raise_for_status()
    return uid


def test_an_earlier_study_comes_from_another_archive(
    bench: StepBench, archive: LocalOrthanc, patient: Patient, tmp_path: Path
) -> None:
    name = patient.name
    lay_up(archive, name, "20210101", tmp_path)
    lay_up(archive, name, "20230601", tmp_path, PatientBirthDate="19010101")
    uid = lay_up(archive, name, "20230101", tmp_path)
    host = bench.host("asks", priors=1, prior_archive="peer")
    today = patient.study("20240101")
    assert said(bench.attempt(host, today, *STEPS)) == ["prior: 4 files"]
    assert bench.ledger.studies.was_brought(uid)
    (brought,) = bench.client.studies_named(uid)
    assert {one.orthanc_id for one in bench.client.studies_of_same_patient(today.orthanc_id)} == {
        brought,
        today.orthanc_id,
    }
    # It is here now, and nothing is asked for twice.
    assert said(bench.attempt(bench.host("asks-not", priors=1), patient.study("20250101"), *STEPS)) == [
        "prior: 5 files"
    ]


def test_what_came_for_its_own_sake_is_not_taken_for_brought(
    bench: StepBench, archive: LocalOrthanc, patient: Patient, tmp_path: Path
) -> None:
    """The archive has today's study too, with no time and so earlier by its answer, and one of nobody's birth date."""
    today, other = patient.study("20240101"), patient.study("20230101", PatientBirthDate="19010101")
    lay_up(archive, patient.name, "20240101", tmp_path, StudyTime="")
    lay_up(archive, patient.name, "20230101", tmp_path)
    host = bench.host("asks-again", priors=1, prior_archive="peer")
    assert said(bench.attempt(host, today, *STEPS)) == ["prior-not-found"]
    for job in (today, other):
        assert not bench.ledger.studies.was_brought(job.study_instance_uid)


@fault("prior", "the other archive does not answer, or sends nothing", short=True)
def test_another_archive_that_fails_leaves_the_study_complete(bench: StepBench, patient: Patient) -> None:
    host = bench.host("asks-nobody", priors=1, prior_archive="demo")
    patient.study("20230101")
    assert said(bench.attempt(host, patient.study("20240101"), *STEPS)) == ["prior: 4 files", "prior-not-fetched"]


@fault("prior", "its files lost in Orthanc's storage", short=True)
def test_a_damaged_prior_is_left_out(bench: StepBench, patient: Patient) -> None:
    prior = patient.study("20230101")
    for instance in bench.site.get(f"/studies/{prior.orthanc_id}/instances")[2:]:
        (path,) = (bench.site.orthanc.folder / "storage").rglob(instance["FileUuid"])
        path.write_bytes(path.read_bytes()[:400])
    assert said(bench.attempt(bench.host("damaged", priors=1), patient.study("20240101"), *STEPS)) == [
        "prior-not-fetched"
    ]


@fault("prior", "not in time, or the archive does not answer about it")
def test_a_prior_that_does_not_come_in_time_is_left_out(bench: StepBench, patient: Patient) -> None:
    patient.study("20230101")
    late = bench.host("late", priors=1, prior_seconds=1e-6)
    assert said(bench.attempt(late, patient.study("20240101"), *STEPS)) == ["prior-not-fetched"]
    with cutting_proxy(bench.site.orthanc.url) as proxy:
        proxy.altered = lambda path, answer: b"<html>" if path.startswith("/patients/") else answer
        mute = bench.host("mute", priors=1, client=bench.reach(proxy.url, patience_seconds=0.5))
        assert said(bench.attempt(mute, patient.study("20250101"), *STEPS)) == ["prior-not-fetched"]


@fault("prior", "gone between two attempts", short=True)
def test_another_choice_at_the_second_attempt_leaves_one_result(bench: StepBench, patient: Patient) -> None:
    prior = patient.study("20230101")
    today = patient.study("20240101")
    bench.attempt(bench.host("first-choice", priors=1), today, "fetch", "run", "check")
    bench.site.orthanc.http.delete(f"/studies/{prior.orthanc_id}").raise_for_status()
    done = bench.attempt(bench.host("second-choice", priors=1), today, *STEPS)
    assert said(done) == ["prior-not-found"]
    assert bench.site.modalities(today.orthanc_id) == {"CT": 1, "SEG": 1, "SR": 1}
