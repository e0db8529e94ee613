"""A child process that reads damaged studies: ``python reading.py SEED FIRST COUNT FOLDER``.

It ends with 0 when every study became volumes or errors of ours, within its limits of memory and time. FOLDER keeps
the study that it is at, for whoever finds the process dead.
"""

import logging
import random
import resource
import shutil
import signal
import sys
import warnings
from pathlib import Path

from mutations import base_studies, mutated

from operators.dicom.pixels.read_limits import ReadLimits
from operators.dicom.selection.series_selection import select_series
from operators.dicom.selection.series_splitting import split_series
from operators.dicom.study.study_index import check_one_study, index_study
from operators.dicom.volumes.volume_reader import read_volume
from operators.errors import CuriaError

LIMITS = ReadLimits(max_slice_pixels=2**20, max_slices=64, max_volume_bytes=2**25)
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
        _write(mutated(chance.choice(studies), chance), folder / "study")
        (folder / "case").write_text(str(case))
        signal.alarm(SECONDS_A_CASE)
        _read(folder / "study")
    signal.alarm(0)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ALLOWED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _write(study: list[bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, data in enumerate(study):
        (folder / f"{number}.dcm").write_bytes(data)


def _read(folder: Path) -> None:
    try:
        index = index_study(folder)
        check_one_study(index)
        select_series(index)
    except CuriaError:
        return
    for series in index.series:
        for candidate in split_series(series):
            try:
                read_volume(candidate, role="fuzz", limits=LIMITS)
            except CuriaError:
                continue


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), Path(sys.argv[4]))
