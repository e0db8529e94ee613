"""Two real child processes behind one pool."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orthanc_plugin.domain.errors import ServiceStopping, WorkersBusyError
from orthanc_plugin.pipeline.protocol import ReadRequest
from orthanc_plugin.pipeline.worker import Worker
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from service_cases import MODEL

# Signs in the folder that the request names, and answers with its process id once two have signed there.
PATIENT = (
    """
import json, os, pathlib, sys, time
print(json.dumps({"ready": True, "pipeline_digest": "d", "model": """
    + str(MODEL)
    + """}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    folder = pathlib.Path(request["input"])
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    print(json.dumps({"id": request["id"], "exit_code": 0, "seconds": float(os.getpid())}), flush=True)
"""
)

MakePool = Callable[..., WorkerPool]


@pytest.fixture
def make_pool() -> Iterator[MakePool]:
    pools = []

    def make(*scripts: str, stop: threading.Event | None = None) -> WorkerPool:
        stop = stop or threading.Event()
        workers = [
            Worker(
                (sys.executable, "-c", script),
                ready_seconds=10,
                deadline_seconds=10,
                max_resident_bytes=1e12,
                stop=stop,
            )
            for script in scripts
        ]
        pools.append(WorkerPool(workers, stop=stop))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def run(pool: WorkerPool, source: Path) -> int:
    """Process id of the child that answered."""
    return int(pool.ask(ReadRequest(id="r", input=source, output=Path("out"))).seconds)


def test_two_studies_run_side_by_side_in_two_processes(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(PATIENT, PATIENT)
    for worker in pool.workers:
        worker.start()
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda _: run(pool, tmp_path), range(2)))
    assert len(set(answers)) == 2


def test_studies_in_turn_go_to_the_worker_that_rested_longest(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(PATIENT, PATIENT)
    for worker in pool.workers:
        worker.start()
    (tmp_path / "signed").touch()
    first, second, third = (run(pool, tmp_path) for _ in range(3))
    assert first == third != second


def test_a_worker_that_does_not_come_up_gets_no_study(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool("raise SystemExit(5)", PATIENT)
    assert pool.identity is None
    pool.workers[1].start()
    assert pool.wait_ready().pipeline_digest == "d"
    (tmp_path / "signed").touch()
    assert run(pool, tmp_path) == run(pool, tmp_path)
    assert pool.workers[0].starts == 0


def test_the_end_of_the_service_ends_the_wait_for_a_worker(make_pool: MakePool, tmp_path: Path) -> None:
    stop = threading.Event()
    pool = make_pool(PATIENT, stop=stop)
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(ServiceStopping):
        pool.wait_ready()
    with pytest.raises(ServiceStopping):
        run(pool, tmp_path)


def test_a_question_does_not_wait_for_a_study_to_end(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(PATIENT)
    pool.workers[0].start()
    with ThreadPoolExecutor() as threads:
        study = threads.submit(run, pool, tmp_path)
        while not list(tmp_path.iterdir()):
            time.sleep(0.01)
        with pytest.raises(WorkersBusyError, match="ask again"):
            pool.ask(ReadRequest(id="q", input=tmp_path, output=Path("out")), patience_seconds=0.2)
        (tmp_path / "signed").touch()
        study.result()
    assert pool.ask(ReadRequest(id="q", input=tmp_path, output=Path("out")), patience_seconds=0.2).exit_code == 0
