import hashlib
import os
import threading
from pathlib import Path

from orthanc_plugin.upkeep.retention import Retention, result_folders

DAY = 86400.0


def named(name: str) -> str:
    """A piece of work's id that one can tell from others."""
    return hashlib.sha256(name.encode()).hexdigest()


def make_result(folder: Path, name: str, *, age_days: float, size: int = 100) -> None:
    path = folder / named(name)
    path.mkdir()
    (path / "one.dcm").write_bytes(bytes(size))
    then = path.stat().st_mtime - age_days * DAY
    os.utime(path, (then, then))


def prune(folder: Path, *, days: float = 1e6, max_bytes: int = 10**9, active: str = "") -> set[str]:
    """Names of the folders that are left."""
    retention = Retention(
        folder, max_age_seconds=days * DAY, max_bytes=max_bytes, is_ended=lambda work_id: work_id != named(active)
    )
    retention.prune()
    return {path.name for path in folder.iterdir()}


def test_old_results_go(tmp_path: Path) -> None:
    for age in (1, 29, 31):
        make_result(tmp_path, f"aged-{age}", age_days=age)
    assert prune(tmp_path, days=30) == {named("aged-1"), named("aged-29")}


def test_the_newest_stay_within_the_bytes(tmp_path: Path) -> None:
    for age in (3, 1, 2):
        make_result(tmp_path, f"aged-{age}", age_days=age, size=400)
    assert prune(tmp_path, max_bytes=800) == {named("aged-1"), named("aged-2")}
    assert prune(tmp_path, max_bytes=799) == {named("aged-1")}


def test_work_under_way_stays(tmp_path: Path) -> None:
    make_result(tmp_path, "active", age_days=40)
    make_result(tmp_path, "ended", age_days=40)
    assert prune(tmp_path, days=30, active="active") == {named("active")}


def test_what_is_not_ours_stays_and_ends_nothing(tmp_path: Path) -> None:
    foreign = ("lost+found", "somebody's back-up", f"{named('unfinished')}.part-12345678")
    for name in foreign:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / "notes.txt").touch()
    (tmp_path / named("a file")).touch()
    (tmp_path / named("gone")).symlink_to(tmp_path / "nowhere")
    make_result(tmp_path, "there", age_days=0)
    assert [one.path.name for one in result_folders(tmp_path)] == [named("there")]
    assert prune(tmp_path, days=1) >= {*foreign, "notes.txt"}


def test_the_thread_prunes_until_it_is_stopped(tmp_path: Path) -> None:
    make_result(tmp_path, "old", age_days=2)
    stop = threading.Event()
    retention = Retention(tmp_path, max_age_seconds=DAY, max_bytes=10**9, is_ended=lambda _: not stop.set())
    retention.run(stop, 60.0)
    assert not (tmp_path / named("old")).exists()
