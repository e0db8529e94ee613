"""What the service's memory is made of while many studies go through it: a table, and ``build/service-memory.json``.

    python tests/benchmarks/service_memory.py [--studies 600] [--out build/service-memory.json]

A real Orthanc and the real service; in the pipeline's place the tests' stand-in, which computes nothing, so that
hundreds of studies take minutes. The service tells of itself once a second: what is resident, what C code holds of
malloc and what malloc keeps though nobody holds it, what SQLite says that it holds, how many blocks Python's own
allocator has given out, and how many threads and connections to the database there are.
"""

import argparse
import ctypes
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

MIB = 2**20
Sample = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("build/service-memory.json"))
    parser.add_argument("--serve", type=Path, help="be the service, and write the samples to this file")
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve)
        return
    with TemporaryDirectory(prefix="curia-memory-") as folder:
        early, late = _measure(Path(folder), arguments.studies)
    table = Table("what", "early", "late", "growth", title=f"The service over {arguments.studies} studies")
    for name in early:
        values = (early[name], late[name], late[name] - early[name])
        table.add_row(name.replace("_", " "), *(f"{value:,.1f}" for value in values))
    Console(width=100).print(table)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"early": early, "late": late}, indent=2) + "\n")


def _measure(folder: Path, studies: int) -> tuple[Sample, Sample]:
    """A tenth into the run, what comes before being the start, and its last."""
    from integration import stand_in_pipeline
    from integration.running_site import FAST, USER, build_small_study, running_site

    sent = [_zipped(build_small_study(f"memory-{number}", folder / str(number))[1]) for number in range(studies)]
    samples = folder / "samples.jsonl"
    with running_site(folder / "site") as site:
        orthanc = site.orthanc
        settings = FAST | {
            "sweep_seconds": 60.0,
            "data_folder": str(folder / "service"),
            "orthanc_url": orthanc.url,
            "orthanc_username": USER,
            "orthanc_password": orthanc.password,
            "listen": f"127.0.0.1:{orthanc.service_port}",
            "worker_command": [sys.executable, stand_in_pipeline.__file__],
        }
        words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
        environment = os.environ | {f"CURIA_{name.upper()}": word for name, word in words.items()}
        with orthanc.service_log.open("ab") as log:
            service = subprocess.Popen([sys.executable, __file__, "--serve", samples], env=environment, stderr=log)
        try:
            site.wait_for_pipeline()
            for study in sent:
                orthanc.http.post("/instances", content=study, timeout=120.0).raise_for_status()
            site.wait(lambda: site.work_counts() == {"stored": studies}, "all results", 10.0 * studies)
            time.sleep(2.0)
        finally:
            service.terminate()
            service.wait(30)
    told = [json.loads(line) for line in samples.read_text().splitlines()]
    return told[len(told) // 10], told[-1]


def _zipped(paths: Iterable[Path]) -> bytes:
    """A study in one request, which Orthanc takes apart."""
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:
        for path in paths:
            file.write(path, path.name)
    return archive.getvalue()


def _serve(samples: Path) -> None:
    from orthanc_plugin.__main__ import run

    threading.Thread(target=_sample, args=(samples,), daemon=True).start()
    run(None, check=False)


def _sample(path: Path) -> None:
    of_malloc, of_sqlite = _malloc(), _sqlite()
    with path.open("a") as file:
        while True:
            in_use, kept = of_malloc()
            files = [os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
            sample = {
                "resident_mib": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB,
                "malloc_in_use_mib": in_use / MIB,
                "malloc_kept_free_mib": kept / MIB,
                "of_it_sqlite_mib": of_sqlite() / MIB,
                "thousand_python_blocks": sys.getallocatedblocks() / 1000,
                "threads": threading.active_count(),
                "connections": sum(one.endswith(".sqlite") for one in files),
            }
            file.write(json.dumps(sample) + "\n")
            file.flush()
            time.sleep(1.0)


def _malloc() -> Callable[[], tuple[int, int]]:
    """Bytes that are in use, and that malloc has from the system beside them, over all its arenas (mallinfo2)."""
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in names]

    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Info

    def told() -> tuple[int, int]:
        info = mallinfo()
        return info.uordblks + info.hblkhd, info.fordblks

    return told


def _sqlite() -> Callable[[], int]:
    """Bytes that SQLite has outstanding (sqlite3_memory_used), page caches among them."""
    import sqlite3  # noqa: F401, the library is mapped from now on

    (library, *_) = re.findall(r"(/\S*libsqlite3\S*)", Path("/proc/self/maps").read_text())
    used = ctypes.CDLL(library).sqlite3_memory_used
    used.restype = ctypes.c_int64
    return used  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
