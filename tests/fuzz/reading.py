"""A child process that reads damaged studies: ``python reading.py SEED FIRST COUNT FOLDER``.

It ends with 0 when every study was indexed, judged by the default rules and by a site's, and became volumes or errors
of ours, within its limits of memory, disk and time. FOLDER keeps the study that it is at, for whoever finds the process
dead.
"""

import io
import logging
import random
import resource
import shutil
import signal
import sys
import warnings
from pathlib import Path

from mutations import base_studies, mutated, wrapped
from rich.console import Console
from site_rules import random_site_rules

from app.series_table import outcome, series_table
from app.settings import Settings
from operators.dicom.selection.series_selection import select_series
from operators.dicom.selection.series_splitting import split_series
from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.study.study_index import StudyIndex, check_one_study, index_study, split_studies
from operators.dicom.volumes.volume_reader import read_volume
from operators.errors import CuriaError

LIMITS = ReadLimits(
    max_slice_pixels=2**20, max_slices=64, max_volume_bytes=2**25, max_inflated_bytes=2**22, max_unpacked_bytes=2**23
)
ALLOWED_BYTES = 2**29
"""Beyond what the libraries take themselves; some sixteen volumes of the limit's size."""

SECONDS_A_CASE = 20


def main(seed: int, first: int, count: int, folder: Path) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    studies = base_studies()
    _limit_memory()
    for case in range(first, first + count):
        chance = random.Random(f"{seed} {case}")
        study = wrapped(mutated(chance.choice(studies), chance), chance)
        (folder / "case").write_text(str(case))
        signal.alarm(SECONDS_A_CASE)
        _read(_written(study, folder / "study"), _empty(folder / "scratch"), chance)
    signal.alarm(0)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ALLOWED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _written(study: dict[str, bytes], folder: Path) -> Path:
    _empty(folder)
    for name, data in study.items():
        (folder / name).write_bytes(data)
    return folder


def _read(folder: Path, scratch: Path, chance: random.Random) -> None:
    try:
        index = index_study(folder, scratch=scratch, limits=LIMITS)
    except CuriaError:
        return
    finally:
        unpacked = sum(path.stat().st_size for path in scratch.iterdir())
        assert unpacked <= LIMITS.max_unpacked_bytes, f"{unpacked} bytes were unpacked"
    _judge(index, chance)
    for series in index.series:
        for candidate in split_series(series):
            try:
                volume = read_volume(candidate, role="fuzz", limits=LIMITS).volume
            except CuriaError:
                continue
            assert volume.array.nbytes <= LIMITS.max_volume_bytes, f"a volume of {volume.array.nbytes} bytes"


def _judge(index: StudyIndex, chance: random.Random) -> None:
    """Select by the default rules and by a site's, and print the table; only refusals are errors."""
    sites = [Settings()]
    try:
        sites.append(Settings.read(None, selection=random_site_rules(chance)))
        check_one_study(index)
    except CuriaError:
        pass
    for settings in sites:
        rules = settings.selection.applied()
        decisions = [select_series(part, rules, limits=LIMITS) for part in split_studies(index)]
        console = Console(file=io.StringIO(), width=80)
        console.print(series_table(decisions))
        console.print(outcome(decisions[0]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), Path(sys.argv[4]))
