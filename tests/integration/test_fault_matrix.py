"""The fault matrix: after each fault every study has exactly one current result set, as if nothing had happened.

``make faults`` runs all rows and prints them; ``make test`` runs those marked ``short``.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread

from integration.cutting_proxy import cutting_proxy
from integration.running_site import FAST, Site, build_small_study, own_service, running_site
from integration.undisturbed import Undisturbed

pytestmark = pytest.mark.integration
fault = pytest.mark.fault

SmallStudy = Callable[..., tuple[str, list[Path]]]
MIB = 2**20


@pytest.fixture
def small_study(tmp_path: Path) -> SmallStudy:
    return lambda name, **more: build_small_study(name, tmp_path / name, **more)


@pytest.mark.parametrize("state", ["queued", "running", "writing", "storing"])
@fault("service killed", "{state}")
def test_service_killed(state: str, site: Site, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    studies = []
    for attempt in range(8):
        studies.append(small_study(f"service-{state}-{attempt}"))
        uid, paths = studies[-1]
        site.wait_for_pipeline()
        service = site.orthanc.service_pid()
        assert service is not None
        site.send(paths)
        _await_ledger_state(site, uid, state)
        os.kill(service, signal.SIGKILL)
        # A state may be over before the signal arrives; what the ledger kept says whether it was.
        if _ledger_state(site, uid) == state:
            break
    else:
        pytest.fail(f"never killed in state {state}")
    for uid, paths in studies:
        site.wait_for_state(uid, "stored", "failed")
        undisturbed.check_alone(site, uid, paths)


@pytest.mark.parametrize("state", ["queued", "running", "writing", "storing"])
@fault("Orthanc killed", "{state}")
def test_orthanc_killed(state: str, site: Site, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study(f"orthanc-{state}")
    site.wait_for_pipeline()
    site.send(paths)
    _await_ledger_state(site, uid, state)
    site.orthanc.kill()
    site.orthanc.start()
    site.wait_for_state(uid, "stored", "failed")
    undisturbed.check_alone(site, uid, paths)


@fault("Orthanc killed", "arriving, inside the stable age")
def test_orthanc_killed_while_arriving(site: Site, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study("orthanc-arriving")
    site.send(paths[:2])
    site.orthanc.kill()
    site.orthanc.start()
    site.send(paths[2:])
    site.wait(lambda: (site.study(uid) or {}).get("state") == "stored" and _is_whole(site, uid, 4), "the whole study")
    undisturbed.check(site, uid, paths)


@fault("Orthanc restarted", "running, service of its own")
def test_orthanc_restarted_under_a_running_service(
    tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed
) -> None:
    first, second = small_study("restart-1"), small_study("restart-2")
    with running_site(tmp_path / "orthanc") as site:
        with own_service(site, tmp_path / "service", orthanc_url=site.orthanc.url):
            site.wait_for_pipeline()
            site.send(first[1])
            site.wait(lambda: site.study(first[0]), "the study in the work list")
            site.orthanc.stop()
            site.orthanc.start()
            site.send(second[1])
            for uid, paths in (first, second):
                site.wait_for_state(uid, "stored", "failed")
                undisturbed.check_alone(site, uid, paths)


@fault("worker killed", "idle and running")
def test_worker_killed(site: Site, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study("worker-killed")
    site.wait_for_pipeline()
    for worker in site.worker_pids():
        os.kill(worker, signal.SIGKILL)
    site.send(paths)
    site.wait_for_pipeline()
    _await_ledger_state(site, uid, "running")
    site.wait(site.worker_pids, "a new worker")
    for worker in site.worker_pids():
        os.kill(worker, signal.SIGKILL)
    site.wait_for_state(uid, "stored", "failed")
    undisturbed.check_alone(site, uid, paths)


@fault("worker hangs", "running, beyond its deadline")
def test_worker_hangs(tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study("worker-hangs")
    with running_site(tmp_path, service=FAST | {"worker_deadline_seconds": 6}) as site:
        site.wait_for_pipeline()
        for worker in site.worker_pids():
            os.kill(worker, signal.SIGSTOP)
        site.send(paths)
        view = site.wait_for_state(uid, "stored", "failed")
        assert view["worker_crashes"] == 1
        assert site.metric('curia_worker_starts_total{worker="0"}') == 2
        undisturbed.check_alone(site, uid, paths)


@fault("worker grows", "beyond its bound after each study")
def test_worker_grows(tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    studies = [small_study(f"grows-{number}") for number in range(2)]
    with running_site(tmp_path, service=FAST | {"worker_memory_gib": 0.1}) as site:
        for uid, paths in studies:
            site.send(paths)
            view = site.wait_for_state(uid, "stored", "failed")
            assert view["worker_crashes"] == 0
            undisturbed.check_alone(site, uid, paths)
        assert site.metric('curia_worker_starts_total{worker="0"}') >= 2


# The real worker behind a go-between that answers the first request of all as one that ran out of memory.
SHORT_OF_MEMORY = """
import json, pathlib, subprocess, sys
worker = subprocess.Popen([sys.executable, "-m", "app.worker", *sys.argv[2:]], stdin=-1, stdout=-1, text=True)
print(worker.stdout.readline(), end="", flush=True)
for line in sys.stdin:
    marker = pathlib.Path(sys.argv[1])
    if not marker.exists():
        marker.touch()
        print(json.dumps({"id": json.loads(line)["id"], "exit_code": 6, "seconds": 0}), flush=True)
        continue
    print(line, end="", file=worker.stdin, flush=True)
    print(worker.stdout.readline(), end="", flush=True)
"""


@fault("memory runs out", "on the first try")
def test_memory_runs_out(tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study("short-of-memory")
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(tmp_path / "marker")]
    with running_site(tmp_path, service=FAST | {"worker_command": command}) as site:
        site.send(paths)
        site.wait_for_state(uid, "stored", "failed")
        assert site.metric('curia_worker_starts_total{worker="0"}') == 2
        undisturbed.check_alone(site, uid, paths)


# Beside a worker that has the memory, one that never has it.
NEVER_ENOUGH = SHORT_OF_MEMORY.replace("if not marker.exists():", "if sys.argv[-1] == 'cpu':")


@fault("memory runs out", "on one of two devices, each time")
def test_memory_runs_out_on_one_device(tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    studies = [small_study(f"elsewhere-{number}") for number in range(2)]
    command = [sys.executable, "-c", NEVER_ENOUGH, str(tmp_path / "marker")]
    with running_site(tmp_path, service=FAST | {"worker_command": command, "devices": ["cpu", "auto"]}) as site:
        for number in range(2):
            site.wait(lambda number=number: site.metric(f'curia_worker_ready{{worker="{number}"}}'), "both workers")
        for uid, paths in studies:
            site.send(paths)
            view = site.wait_for_state(uid, "stored", "failed")
            assert view["worker_crashes"] == 0
            undisturbed.check_alone(site, uid, paths)
        assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("answers_are_lost", [False, True], ids=["before", "after"])
@fault("network cut", "in the upload, answers_are_lost={answers_are_lost}")
def test_network_cut_in_upload(
    *, answers_are_lost: bool, tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed
) -> None:
    uid, paths = small_study("network-cut")
    with running_site(tmp_path / "orthanc") as site, cutting_proxy(site.orthanc.url) as proxy:
        cuts: list[float] = []
        proxy.cut, proxy.answers_are_lost = lambda: cuts.append(time.monotonic()), answers_are_lost
        with own_service(site, tmp_path / "service", orthanc_url=proxy.url):
            site.send(paths)
            site.wait_for_state(uid, "stored", "failed")
            assert len(cuts) == 1
            undisturbed.check_alone(site, uid, paths)


@pytest.mark.parametrize("least_gib", [0.01, 0.0], ids=["noticed", "met"])
@fault("disk full", "least_gib={least_gib}")
def test_disk_full(least_gib: float, tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study("disk-full")
    with _small_disk(tmp_path / "disk", 48 * MIB) as disk:
        settings = FAST | {"data_folder": str(disk / "data"), "min_free_gib": least_gib}
        with running_site(tmp_path / "orthanc", service=settings) as site:
            site.wait_for_pipeline()
            _fill(disk / "ballast")
            site.send(paths)
            time.sleep(6.0)
            assert not site.modalities(site.get("/studies")[0])["SR"]
            if least_gib:
                assert site.metric('curia_alarm{alarm="disk-full"}') == 1
            (disk / "ballast").unlink()
            site.wait_for_state(uid, "stored", "failed")
            undisturbed.check_alone(site, uid, paths)


@pytest.mark.parametrize("seconds", [5.0, 40.0])
@fault("database locked", "for {seconds} s")
def test_database_locked(seconds: float, site: Site, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study(f"locked-{seconds}")
    site.wait_for_pipeline()
    with closing(sqlite3.connect(_database(site), timeout=10.0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        site.send(paths)
        time.sleep(seconds)
        other.execute("ROLLBACK")
    site.wait_for_state(uid, "stored", "failed")
    undisturbed.check_alone(site, uid, paths)


@fault("duplicates", "twice at once, and once more when stored")
def test_duplicates(site: Site, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study("duplicates")
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda _: site.send(paths), range(2)))
    view = site.wait_for_state(uid, "stored", "failed")
    site.send(paths)
    site.orthanc.http.post(f"/curia/studies/{view['orthanc_id']}/run").raise_for_status()
    seen = site.sweeps()
    site.wait(lambda: site.sweeps() >= seen + 2, "two sweeps")
    site.wait_for_state(uid, "stored", "failed")
    undisturbed.check_alone(site, uid, paths)


@fault("late series", "after the result", short=True)
def test_late_series(site: Site, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, early = small_study("late-series")
    _, late = small_study("late-series", series="late")
    site.send(early)
    first = site.wait_for_state(uid, "stored", "failed")
    site.send(late)
    site.wait(lambda: site.study(uid)["work_id"] not in (None, first["work_id"]), "new work")
    site.wait_for_state(uid, "stored", "failed")
    undisturbed.check(site, uid, early + late)
    assert len(_current_work(site, uid)) == 1


@fault("corrupt instance", "beside sound studies", short=True)
def test_corrupt_instance(site: Site, small_study: SmallStudy, undisturbed: Undisturbed, tmp_path: Path) -> None:
    bad, bad_paths = small_study("corrupt")
    good, good_paths = small_study("sound")
    dataset = dcmread(bad_paths[1])
    dataset.PixelData = dataset.PixelData[:100]
    dataset.save_as(bad_paths[1])
    site.send(bad_paths)
    site.send(good_paths)
    view = site.wait_for_state(bad, "failed", "not-applicable", "stored")
    assert view["state"] != "stored"
    assert view["reason"]["message"]
    site.wait_for_state(good, "stored", "failed")
    undisturbed.check_alone(site, good, good_paths)


@pytest.mark.parametrize("jump", ["+26h", "-26h"])
@fault("clock jump", "{jump}, of service and Orthanc")
def test_clock_jump(
    jump: str, tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    assert library is not None, "libfaketime is not installed; make faults installs it"
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": 1, "DONT_FAKE_MONOTONIC": 1}
    for name, value in faked.items():
        monkeypatch.setenv(name, str(value))
    before, after = small_study("before-the-jump"), small_study("after-the-jump")
    with running_site(tmp_path / "orthanc", service=FAST) as site:
        for name in faked:
            monkeypatch.delenv(name)
        site.wait_for_pipeline()
        site.send(before[1])
        _await_ledger_state(site, before[0], "running")
        clock.write_text(jump)
        site.send(after[1])
        for uid, paths in (before, after):
            site.wait_for_state(uid, "stored", "failed")
            undisturbed.check_alone(site, uid, paths)


@fault("two workers", "six studies at once")
def test_two_workers(tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    studies = [small_study(f"side-by-side-{number}") for number in range(6)]
    with running_site(tmp_path, service=FAST | {"devices": ["cpu", "cpu"]}) as site:
        site.wait(lambda: site.metric('curia_worker_ready{worker="1"}'), "the second worker", 60.0)
        for _, paths in studies:
            site.send(paths)
        site.wait(lambda: site.work_counts().get("running", 0) >= 2, "two at work")
        for uid, paths in studies:
            site.wait_for_state(uid, "stored", "failed")
            undisturbed.check_alone(site, uid, paths)


@fault("200 studies at once", "on one worker")
def test_many_at_once(tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    studies = [small_study(f"many-{number}") for number in range(200)]
    with running_site(tmp_path, service=FAST) as site:
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda study: site.send(study[1]), studies))
        site.wait(lambda: site.work_counts() == {"stored": len(studies)}, "all results", 400.0)
        for uid, paths in studies[::10]:
            undisturbed.check_alone(site, uid, paths)
        assert all(site.modalities(orthanc_id) == {"CT": 1, "SR": 1} for orthanc_id in site.get("/studies"))


def _database(site: Site) -> Path:
    return site.orthanc.data_folder / "service.sqlite"


def _ledger_state(site: Site, uid: str) -> str | None:
    """State of the study's newest work as it stands on disk, whether the service lives or not."""
    query = "SELECT state FROM curia_jobs WHERE study_instance_uid = ? ORDER BY queued_at DESC"
    with closing(sqlite3.connect(f"file:{_database(site)}?mode=ro", uri=True)) as connection:
        row = connection.execute(query, (uid,)).fetchone()
    return None if row is None else row[0]


def _await_ledger_state(site: Site, uid: str, state: str) -> None:
    """Return as soon as the work is in *state*, or past it."""
    order = [None, "queued", "running", "writing", "storing", "stored"]
    deadline = time.monotonic() + 60.0
    while order.index(_ledger_state(site, uid)) < order.index(state):
        assert time.monotonic() < deadline, f"{uid} was never {state}"


def _current_work(site: Site, uid: str) -> list[str]:
    query = "SELECT work_id FROM curia_jobs WHERE study_instance_uid = ? AND state = 'stored'"
    with closing(sqlite3.connect(f"file:{_database(site)}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute(query, (uid,))]


def _is_whole(site: Site, uid: str, instances: int) -> bool:
    view = site.study(uid)
    return (
        view is not None and sum(one["num_instances"] for one in view["series"] if one["modality"] == "CT") == instances
    )


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(path: Path) -> None:
    """Write zeros until the disk takes no more."""
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(64 * 1024))
    except OSError:
        return
