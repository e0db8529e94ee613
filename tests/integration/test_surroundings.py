"""Rows of the fault matrix about what surrounds the service: its database, its machine, what stands before Orthanc.

None of it is a study's fault: nothing ends, and work goes on when it is over.
"""

import resource
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from pydicom import config, dcmread

from integration.cutting_proxy import CuttingProxy, _CuttingHandler, cutting_proxy
from integration.running_postgres import running_postgres
from integration.running_site import FAST, Site, build_small_study, changed, own_service, running_site
from integration.undisturbed import Undisturbed

pytestmark = pytest.mark.integration
fault = pytest.mark.fault

SmallStudy = Callable[..., tuple[str, list[Path]]]


@pytest.fixture
def small_study(tmp_path: Path) -> SmallStudy:
    return lambda name, **more: build_small_study(name, tmp_path / name, **more)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, psycopg.Connection]]:
    """A site on PostgreSQL, and the right to do there what one likes."""
    folder = tmp_path_factory.mktemp("shared")
    with running_postgres() as url:
        service = FAST | {"database_url": url}
        with (
            running_site(folder, service=service) as site,
            psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as administrator,
        ):
            site.wait_for_pipeline()
            yield site, administrator


@contextmanager
def read_only(administrator: psycopg.Connection) -> Iterator[None]:
    administrator.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    administrator.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        administrator.execute("ALTER SYSTEM SET default_transaction_read_only = off")
        administrator.execute("SELECT pg_reload_conf()")


@fault("database read-only", "for 20 s, two studies")
def test_database_read_only(
    shared: tuple[Site, psycopg.Connection], small_study: SmallStudy, undisturbed: Undisturbed
) -> None:
    site, administrator = shared
    first, second = small_study("read-only-1"), small_study("read-only-2")
    service = site.orthanc.service_pid()
    site.send(first[1])
    site.wait_for_state(first[0], "running")
    with read_only(administrator):
        site.send(second[1])
        time.sleep(20.0)
    for uid, paths in (first, second):
        site.wait_for_state(uid, "stored", "failed")
        undisturbed.check_alone(site, uid, paths)
    assert site.orthanc.service_pid() == service


@fault("database's tables locked", "for 40 s, while twenty look at the work list")
def test_database_pool_exhausted(
    shared: tuple[Site, psycopg.Connection], small_study: SmallStudy, undisturbed: Undisturbed
) -> None:
    site, administrator = shared
    uid, paths = small_study("exhausted")
    service = site.orthanc.service_pid()
    with ThreadPoolExecutor(20) as threads:
        with administrator.transaction():
            administrator.execute("LOCK TABLE curia_jobs, curia_studies IN ACCESS EXCLUSIVE MODE")
            site.send(paths)
            looks = [threads.submit(site.orthanc.http.get, "/curia/worklist", timeout=60.0) for _ in range(20)]
            time.sleep(40.0)
        assert {look.result().status_code for look in looks} <= {200, 503, 504}
    site.wait_for_state(uid, "stored", "failed")
    undisturbed.check_alone(site, uid, paths)
    assert site.orthanc.service_pid() == service


@fault("values without bounds", "beside a sound study")
def test_values_without_bounds(
    shared: tuple[Site, psycopg.Connection],
    small_study: SmallStudy,
    undisturbed: Undisturbed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site, _ = shared
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    _, long = small_study("long-uid")
    for path in changed(long, tmp_path, StudyInstanceUID="1." * 49 + "10"):
        site.orthanc.http.post("/instances", content=path.read_bytes()).raise_for_status()
    uid, paths = small_study("sound-beside")
    site.send(paths)
    site.wait_for_state(uid, "stored", "failed")
    undisturbed.check_alone(site, uid, paths)

    def set_aside() -> bool:
        views = site.orthanc.http.get("/curia/worklist").json()["studies"]
        reasons = [view["reason"]["message"] for view in views if view["reason"] is not None]
        return any("set aside: its Study Instance UID is not one" in reason for reason in reasons)

    site.wait(set_aside, "the study set aside")
    told, many = small_study("many-told")
    for path in many:
        dataset = dcmread(path)
        dataset.add_new("ImagesInAcquisition", "LO", "9" * 250)
        dataset.save_as(path)
        site.orthanc.http.post("/instances", content=path.read_bytes()).raise_for_status()
    site.wait_for_state(told, "stored", "failed")


@fault("few file descriptors", "for 15 s, a study in it")
def test_few_file_descriptors(site: Site, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study("few-descriptors")
    site.wait_for_pipeline()
    service = site.orthanc.service_pid()
    assert service is not None
    soft, hard = resource.prlimit(service, resource.RLIMIT_NOFILE)
    resource.prlimit(service, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{service}/fd").iterdir())), hard))
    site.send(paths)
    time.sleep(15.0)
    resource.prlimit(service, resource.RLIMIT_NOFILE, (soft, hard))
    site.wait_for_state(uid, "stored", "failed")
    undisturbed.check_alone(site, uid, paths)
    assert site.orthanc.service_pid() == service


@fault("foreign folders", "in results, read by the retention")
def test_foreign_folders(tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    data = tmp_path / "service"
    for name in ("lost+found", "back-up of March"):
        (data / "results" / name / "below").mkdir(parents=True)
    uid, paths = small_study("foreign-folders")
    with running_site(tmp_path / "orthanc") as site:
        with own_service(site, data, orthanc_url=site.orthanc.url, keep_results_gib=0) as service:
            site.send(paths)
            site.wait_for_state(uid, "stored", "failed")
            undisturbed.check_alone(site, uid, paths)
            results = data / "results"
            site.wait(lambda: len(list(results.iterdir())) == 2, "the retention")
            assert service.poll() is None
    assert (data / "results" / "lost+found" / "below").is_dir()


class _Masked(_CuttingHandler):
    """Gives the mask in the place of every answer, while there is one."""

    mask: bytes | None = None

    def _pass_on(self, body: bytes) -> None:
        if self.mask is None:
            super()._pass_on(body)
        else:
            self.close_connection = True
            self.wfile.write(self.mask)


@pytest.mark.parametrize(
    ("mask", "alarm"),
    [
        (b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>log in</html>", "archive-not-understood"),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", "archive-denied"),
    ],
    ids=["page", "password"],
)
@fault("something else answers for Orthanc", "for 10 s in the run: {alarm}")
def test_something_else_answers(
    mask: bytes, alarm: str, tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed
) -> None:
    uid, paths = small_study("masked")

    class Handler(_Masked):
        pass

    with running_site(tmp_path / "orthanc") as site, cutting_proxy(site.orthanc.url) as proxy:
        assert isinstance(proxy, CuttingProxy)
        proxy.RequestHandlerClass = Handler
        with own_service(site, tmp_path / "service", orthanc_url=proxy.url) as service:
            site.wait_for_pipeline()
            site.send(paths)
            site.wait_for_state(uid, "running")
            Handler.mask = mask
            site.wait(lambda: site.metric(f'curia_alarm{{alarm="{alarm}"}}') == 1, "the alarm")
            time.sleep(10.0)
            Handler.mask = None
            site.wait_for_state(uid, "stored", "failed")
            undisturbed.check_alone(site, uid, paths)
            assert service.poll() is None


@pytest.mark.parametrize("name", ["result.json", "*.dcm"])
@fault("power cut", "leaves {name} empty")
def test_torn_result(name: str, tmp_path: Path, small_study: SmallStudy, undisturbed: Undisturbed) -> None:
    uid, paths = small_study("torn")
    data = tmp_path / "service"
    with running_site(tmp_path / "orthanc") as site:
        with own_service(site, data, orthanc_url=site.orthanc.url) as service:
            site.send(paths)
            site.wait(lambda: list((data / "results").glob(f"{'[0-9a-f]' * 64}/{name}")), "the result")
            service.send_signal(signal.SIGKILL)
            service.wait()
        for path in (data / "results").glob(f"*/{name}"):
            path.write_bytes(bytes(path.stat().st_size))
        with own_service(site, data, orthanc_url=site.orthanc.url):
            site.wait_for_state(uid, "stored", "failed")
            undisturbed.check_alone(site, uid, paths)
