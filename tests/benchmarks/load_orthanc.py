"""Many small studies through a real Orthanc and the real pipeline: a table, and ``build/load.json``.

    python tests/benchmarks/load_orthanc.py [--studies 1000] [--failing 200] [--senders 2] [--out build/load.json]

After them come studies that fail, whose pixels are cut short, so that their memory is measured apart. Every study is
four slices of the phantom, sent by C-STORE as fast as Orthanc takes them, so the queue delay is mostly that of a queue
which fills at once. The overhead of a study is the whole run's seconds, from the first study begun to the last one
ended, through the number of studies, less the mean seconds that the pipeline itself took.
"""

import argparse
import json
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom import dcmread
from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from integration.running_site import FAST, Site, build_small_study, running_site  # noqa: E402

SAMPLE_SECONDS = 1.0
MIB = 2**20
Figures = dict[str, float]


def main() -> None:
    arguments = _arguments()
    with TemporaryDirectory(prefix="curia-load-") as folder:
        figures = _measure(
            Path(folder), studies=arguments.studies, failing=arguments.failing, senders=arguments.senders
        )
    title = f"{arguments.studies} studies through Orthanc, then {arguments.failing} that fail"
    table = Table("what", "measured", title=title)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}")
    Console(width=100).print(table)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--failing", type=int, default=200)
    parser.add_argument("--senders", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("build/load.json"))
    return parser.parse_args()


def _measure(folder: Path, *, studies: int, failing: int, senders: int) -> Figures:
    sound = [build_small_study(f"load-{number}", folder / str(number))[1] for number in range(studies)]
    broken = [_cut_short(build_small_study(f"cut-{number}", folder / f"cut-{number}")[1]) for number in range(failing)]
    service = FAST | {"sweep_seconds": 60.0}
    with running_site(folder / "site", service=service) as site:
        site.wait_for_pipeline()
        with _memory(site) as of_sound, ThreadPoolExecutor(senders) as threads:
            list(threads.map(site.send, sound))
            site.wait(lambda: site.work_counts() == {"stored": studies}, "all results", 10.0 * studies)
        figures = _of_ledger(site.orthanc.data_folder / "service.sqlite", studies) | _of_memory(of_sound)
        with _memory(site) as of_broken, ThreadPoolExecutor(senders) as threads:
            list(threads.map(site.send, broken))
            site.wait(lambda: site.work_counts().get("failed", 0) == failing, "all failures", 10.0 * failing)
    return figures | {f"failing_{name}": value for name, value in _of_memory(of_broken).items()}


def _cut_short(paths: list[Path]) -> list[Path]:
    """The study with one slice that lacks most of its pixels, which the pipeline refuses."""
    dataset = dcmread(paths[1])
    dataset.PixelData = dataset.PixelData[:100]
    dataset.save_as(paths[1])
    return paths


@contextmanager
def _memory(site: Site) -> Iterator[list[tuple[float, float]]]:
    """Resident MiB of service and worker, once a second during the block."""
    samples: list[tuple[float, float]] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            names = ("process_resident_memory_bytes", 'curia_worker_resident_bytes{worker="0"}')
            service, worker = (site.metric(name) / MIB for name in names)
            samples.append((service, worker))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def _of_ledger(database: Path, studies: int) -> Figures:
    query = "SELECT queued_at, started_at, finished_at, result, timings FROM curia_jobs ORDER BY queued_at"
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(query).fetchall()
    assert len(rows) == studies
    queued, started, finished = (np.array([row[column] for row in rows]) for column in range(3))
    pipeline = [sum(stage["seconds"] for stage in json.loads(row[3])["stages"]) for row in rows]
    stages = [json.loads(row[4]) for row in rows]
    seconds = float(finished.max() - started.min())
    p50, p99 = np.percentile(started - queued, [50, 99])
    overhead = seconds / studies - float(np.mean(pipeline))
    return {
        "seconds": seconds,
        "studies_per_minute": 60 * studies / seconds,
        "queue_delay_p50_seconds": float(p50),
        "queue_delay_p99_seconds": float(p99),
        "pipeline_mean_milliseconds": 1000 * float(np.mean(pipeline)),
        "overhead_mean_milliseconds": 1000 * overhead,
    } | {f"{name}_mean_milliseconds": 1000 * float(np.mean([one[name] for one in stages])) for name in stages[0]}


def _of_memory(samples: list[tuple[float, float]]) -> Figures:
    """Resident MiB a tenth into the run and over its last tenth: what comes before is warming up."""
    tenth = max(1, len(samples) // 10)
    early, late = np.mean(samples[tenth : 2 * tenth], axis=0), np.mean(samples[-tenth:], axis=0)
    return {
        "service_mib_early": float(early[0]),
        "service_mib_late": float(late[0]),
        "worker_mib_early": float(early[1]),
        "worker_mib_late": float(late[1]),
    }


if __name__ == "__main__":
    main()
