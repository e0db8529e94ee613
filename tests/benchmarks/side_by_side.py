"""Two ways to do one thing, measured in turns; the rows of ``build/bench.json``."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

REPEATS = 5


@dataclass(frozen=True)
class Row:
    """One line of the bench file; a ratio above 1 means that ours is better."""

    name: str
    ours: float
    rival: float
    rival_name: str
    ratio: float
    unit: str
    device: str
    detail: str


def compare(
    name: str, ours: Callable[[], object], rival_name: str, rival: Callable[[], object], *, repeats: int = REPEATS
) -> Row:
    """Seconds of both, taken in turns after a first one that does not count; medians."""
    ours(), rival()
    pairs = [(seconds(ours), seconds(rival)) for _ in range(repeats)]
    mine, others = (statistics.median(column) for column in zip(*pairs, strict=True))
    return row(name, mine, rival_name, others, detail=f"medians of {repeats} turns, warm")


def row(
    name: str, ours: float, rival_name: str, rival: float, *, detail: str, unit: str = "s", device: str = ""
) -> Row:
    """A row where less is better."""
    device = device or f"cpu, {len(os.sched_getaffinity(0))} cores"
    return Row(name, round(ours, 4), round(rival, 4), rival_name, round(rival / ours, 3), unit, device, detail)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def write_rows(rows: Iterable[Row], out: Path) -> None:
    """Put rows into the bench file as they come, in the place of older ones of the same name, and print them."""
    for measured in rows:
        kept = json.loads(out.read_text()) if out.exists() else []
        kept = [row for row in kept if (row["name"], row["rival_name"]) != (measured.name, measured.rival_name)]
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps([*kept, asdict(measured)], indent=2) + "\n")
        sys.stdout.write(
            f"{measured.name}: ours {measured.ours:.3g}, {measured.rival_name} {measured.rival:.3g} {measured.unit}, "
            f"{measured.ratio:.2f}x\n"
        )
