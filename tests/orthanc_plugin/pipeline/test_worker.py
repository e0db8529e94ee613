"""Real child processes: small scripts that keep the protocol, or break it in one way each."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orthanc_plugin.domain.errors import ServiceStopping, WorkerCrashError, WorkerStartError
from orthanc_plugin.pipeline.protocol import ReadRequest
from orthanc_plugin.pipeline.worker import Worker
from service_cases import MODEL

READY = f"""
import json, os, sys, time
print(json.dumps({{"ready": True, "pipeline_digest": "d", "model": {MODEL}}}), flush=True)
"""
ANSWERING = (
    READY
    + """
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], "exit_code": 0, "seconds": float(os.getpid())}), flush=True)
"""
)
DYING = READY + "sys.stdin.readline(); os._exit(9)"
HANGING = READY + "sys.stdin.readline(); time.sleep(60)"
BABBLING = READY + "sys.stdin.readline(); print('hello', flush=True); time.sleep(60)"
CONFUSED = READY + "sys.stdin.readline(); print(json.dumps({'id': 'x', 'exit_code': 0, 'seconds': 0}), flush=True)"
REFUSING = """
import json, sys
print(json.dumps({"ready": False, "code": "model-invalid", "message": "the model is not there"}), flush=True)
sys.exit(5)
"""

MakeWorker = Callable[..., Worker]


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def make_worker(stop: threading.Event) -> Iterator[MakeWorker]:
    workers = []

    def make(script: str, *, deadline_seconds: float = 10.0, max_resident_bytes: float = 1e12) -> Worker:
        worker = Worker(
            (sys.executable, "-c", script),
            ready_seconds=10.0,
            deadline_seconds=deadline_seconds,
            max_resident_bytes=max_resident_bytes,
            stop=stop,
        )
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.close()


def run(worker: Worker) -> int:
    """Process id of the child that answered."""
    return int(worker.ask(ReadRequest(id="r1", input=Path("in"), output=Path("out"))).seconds)


def test_one_process_serves_request_after_request(make_worker: MakeWorker) -> None:
    worker = make_worker(ANSWERING)
    assert worker.identity is None
    assert worker.start().pipeline_digest == "d"
    assert run(worker) == run(worker)


@pytest.mark.parametrize(
    ("script", "message"),
    [(DYING, "ended with status 9"), (BABBLING, "broke the protocol"), (CONFUSED, "answered another request")],
)
def test_a_process_that_does_not_answer_is_a_crash(make_worker: MakeWorker, script: str, message: str) -> None:
    worker = make_worker(script)
    with pytest.raises(WorkerCrashError, match=message):
        run(worker)
    assert worker.identity is None


def test_an_overrun_deadline_ends_the_process(make_worker: MakeWorker) -> None:
    worker = make_worker(HANGING, deadline_seconds=0.5)
    with pytest.raises(WorkerCrashError, match="no answer within 0.5 s"):
        run(worker)
    assert worker.identity is None


def test_the_next_request_after_a_crash_gets_a_new_process(make_worker: MakeWorker, tmp_path: Path) -> None:
    once = f"""
marker = {str(tmp_path / "marker")!r}
if not os.path.exists(marker):
    open(marker, "w").close()
    sys.stdin.readline()
    os._exit(1)
"""
    worker = make_worker(READY + once + ANSWERING.removeprefix(READY))
    with pytest.raises(WorkerCrashError, match="ended with status 1"):
        run(worker)
    assert run(worker) > 0


def test_a_process_that_grew_beyond_its_bound_is_replaced(make_worker: MakeWorker) -> None:
    hoard = "hoard = bytearray(os.urandom(1) * (200 << 20))\n"
    growing = ANSWERING.replace("    print(", "    " + hoard + "    print(")
    worker = make_worker(growing, max_resident_bytes=150 << 20)
    assert run(worker) != run(worker)
    assert worker.starts == 2
    roomy = make_worker(growing, max_resident_bytes=1 << 30)
    assert run(roomy) == run(roomy)
    assert 200 << 20 < (roomy.resident_bytes or 0) < 1 << 30


def test_a_process_whose_memory_ran_out_is_replaced(make_worker: MakeWorker) -> None:
    worker = make_worker(ANSWERING.replace('"exit_code": 0', '"exit_code": 6, "device_bytes": 7'))
    assert run(worker) != run(worker)
    assert worker.device_bytes == 7


def test_a_pipeline_that_refuses_to_start_says_why(make_worker: MakeWorker) -> None:
    worker = make_worker(REFUSING)
    with pytest.raises(WorkerStartError, match="the model is not there"):
        worker.start()
    assert "the model is not there" in (worker.trouble or "")


def test_a_missing_interpreter_says_so(stop: threading.Event) -> None:
    worker = Worker(("/nowhere/python",), ready_seconds=1.0, deadline_seconds=1.0, max_resident_bytes=1e12, stop=stop)
    with pytest.raises(WorkerStartError, match="/nowhere/python cannot be started"):
        worker.start()


def test_stopping_interrupts_a_running_request(make_worker: MakeWorker, stop: threading.Event) -> None:
    worker = make_worker(HANGING, deadline_seconds=60.0)
    worker.start()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    with pytest.raises(ServiceStopping):
        run(worker)
    assert time.monotonic() - started < 5.0


def test_the_worker_gets_no_key_to_orthanc(make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CURIA_TOKEN", "CURIA_ORTHANC_AUTHORIZATION", "CURIA_ORTHANC_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    script = (
        "import json, os, sys\n"
        "leaked = 'secret' in os.environ.values()\n"
        f"print(json.dumps({{'ready': True, 'pipeline_digest': str(leaked), 'model': {MODEL}}}), flush=True)\n"
        "sys.stdin.read()\n"
    )
    assert make_worker(script).start().pipeline_digest == "False"
