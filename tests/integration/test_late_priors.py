"""An earlier study that comes when today's is done starts one follow-up run, whoever sees it and however often."""

import queue
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from integration.running_site import build_small_study, changed
from integration.step_bench import Host, StepBench, step_bench
from integration.warm_stand_in import warm_pool
from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.intake import Intake, Timing
from orthanc_plugin.intake.late_priors import LatePriors
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.work.engine import DurableEngine
from orthanc_plugin.work.priors import Priors

pytestmark = pytest.mark.integration
fault = pytest.mark.fault


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StepBench]:
    with step_bench(tmp_path_factory.mktemp("bench")) as bench:
        yield bench


class Service:
    """An intake with an engine that does a host's steps; as many intakes as hosts would have."""

    def __init__(self, bench: StepBench, host: Host, closing: ExitStack, *, follows: bool) -> None:
        self._bench, self._stop, self._closing, self._follows = bench, threading.Event(), closing, follows
        self._engine = DurableEngine(
            database_url=f"sqlite:///{bench.folder / 'ledger.sqlite'}",
            executor_id="late",
            attempt=self._attempt,
            steps=list(host.items()),
            concurrency=2,
        )
        self._pool = warm_pool(self._stop)
        closing.callback(self._pool.close)
        self._engine.start()
        closing.callback(self._engine.stop)
        closing.callback(self._stop.set)

    @contextmanager
    def _attempt(self, work_id: str) -> Iterator[int]:
        yield self._bench.ledger.jobs.take_lease(work_id).lease

    def start_intake(self) -> None:
        """One more host that sees everything, from its first sweep on."""
        client = self._bench.client
        intake = Intake(
            Timing(quiet_seconds=0.0, poll_seconds=0.2, incomplete_seconds=0.0, sweep_seconds=0.5, backlog_days=7.0),
            rules=(), reader=f"reader-{id(object())}", client=client, ledger=self._bench.ledger, engine=self._engine,
            workers=self._pool, wishes=queue.SimpleQueue(), stop=self._stop,
            late_priors=LatePriors(client, Priors(client, count=1, seconds=60.0)) if self._follows else None,
        )  # fmt: skip
        thread = threading.Thread(target=intake.run)
        thread.start()
        self._closing.callback(thread.join)
        self._closing.callback(self._stop.set)


@contextmanager
def service(bench: StepBench, name: str, *, follows: bool = True) -> Iterator[Service]:
    with ExitStack() as closing:
        yield Service(bench, bench.host(name, priors=1), closing, follows=follows)


def send(bench: StepBench, patient: str, date: str, folder: Path) -> str:
    """The study's Orthanc id."""
    folder = folder / date
    folder.mkdir()
    study_instance_uid, paths = build_small_study(f"{patient}-{date}", folder / "plain")
    bench.site.send(changed(paths, folder, PatientID=patient, StudyDate=date))
    (orthanc_id,) = bench.client.studies_named(study_instance_uid)
    return orthanc_id


def stored(bench: StepBench, orthanc_id: str, count: int) -> list[Job]:
    """The study's work, once so much of it has ended."""

    def ended() -> list[Job] | None:
        jobs = bench.ledger.jobs.of_study(orthanc_id)
        has_ended = len(jobs) >= count and all(job.state.is_final for job in jobs)
        # The older work is replaced a moment after the newer one is done.
        return jobs if has_ended and [job.state for job in jobs].count(State.STORED) == 1 else None

    jobs: list[Job] = bench.site.wait(ended, f"{count} pieces of work", 60.0)
    return jobs


def priors_of(job: Job) -> list[str]:
    assert job.result is not None
    return [warning.message for warning in job.result.warnings if warning.code == "prior"]


@fault("prior", "comes when today's study is done, and two hosts see it")
def test_a_late_prior_starts_one_follow_up_run(bench: StepBench, tmp_path: Path) -> None:
    with service(bench, "late") as running:
        running.start_intake()
        today = send(bench, "LATE", "20240101", tmp_path)
        (first,) = stored(bench, today, 1)
        assert (first.state, first.priors, priors_of(first)) == (State.STORED, (), [])
        running.start_intake()
        prior = send(bench, "LATE", "20230101", tmp_path)
        first, second = stored(bench, today, 2)
        assert (first.state, second.state) == (State.SUPERSEDED, State.STORED)
        assert second.priors == (prior,)
        # The prior is read itself meanwhile; where its own result was there first, that is fetched with its images.
        assert priors_of(second) in (["4 files"], ["5 files"])
        # A host that starts anew sweeps over all of it; then one more study of the patient shows that it has.
        running.start_intake()
        stored(bench, send(bench, "LATE", "20220101", tmp_path), 1)
        assert len(stored(bench, today, 2)) == 2
        # It is the prior's own prior, and that has its follow-up.
        assert [len(one.priors or ()) for one in stored(bench, prior, 2)] == [0, 1]


def test_a_site_may_leave_it_alone(bench: StepBench, tmp_path: Path) -> None:
    with service(bench, "alone", follows=False) as running:
        running.start_intake()
        today = send(bench, "ALONE", "20240101", tmp_path)
        stored(bench, today, 1)
        stored(bench, send(bench, "ALONE", "20230101", tmp_path), 1)
        assert len(stored(bench, today, 1)) == 1
