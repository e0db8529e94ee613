"""What the MONAI package needs for a long series: peak memory and shared memory of the command, on the CPU.

    python tests/benchmarks/map_resources.py [--slices 600] [--model FOLDER]

The series is the demo study's 32 slices of 512 x 512, forwards and backwards in turn at positions of their own, until
there are enough. ``app/app.yaml`` asks for what comes out here with room above it, and pkg.json with it. Memory is the
process's largest resident set, shared memory the growth of /dev/shm and the resident shared pages, sampled.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread
from pydicom.uid import generate_uid

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "tests/data/ct_chest_lidc0314"
SHARED = Path("/dev/shm")
SAMPLE_SECONDS = 0.2
MIB = 2**20


def long_series(folder: Path, slices: int) -> None:
    """A series of the demo study's slices, as long as asked."""
    there = sorted((dcmread(path) for path in STUDY.glob("*.dcm")), key=lambda one: one.ImagePositionPatient[2])
    turn = [*there, *there[::-1]]
    x, y, lowest = there[0].ImagePositionPatient
    folder.mkdir()
    for number in range(slices):
        one = turn[number % len(turn)].copy()
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(number)])
        # The collection was de-identified slice by slice, with a frame of reference for each.
        one.FrameOfReferenceUID = there[0].FrameOfReferenceUID
        one.InstanceNumber = number + 1
        one.ImagePositionPatient = [x, y, lowest + number]
        one.SliceLocation = one.ImagePositionPatient[2]
        one.save_as(folder / f"{number:04}.dcm")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--model", type=Path, default=ROOT / "app/demo_model")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="curia-resources-") as temporary:
        long_series(Path(temporary, "in"), given.slices)
        before = shutil.disk_usage(SHARED).used
        command = [
            sys.executable,
            "-m",
            "app",
            "-i",
            f"{temporary}/in",
            "-o",
            f"{temporary}/out",
            "-m",
            str(given.model),
        ]
        began = time.monotonic()
        process = subprocess.Popen([*command, "--device", "cpu"], cwd=ROOT)
        in_folder = in_pages = 0
        ended = 0
        while not ended:
            in_folder = max(in_folder, shutil.disk_usage(SHARED).used - before)
            in_pages = max(in_pages, shared_pages(process.pid))
            time.sleep(SAMPLE_SECONDS)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        seconds = time.monotonic() - began
        written = sum(path.stat().st_size for path in Path(temporary, "out").rglob("*"))
    sys.stdout.write(
        f"{given.slices} slices of 512 x 512: exit code {os.waitstatus_to_exitcode(status)}, {seconds:.0f} s\n"
        f"peak memory {usage.ru_maxrss / 1024:.0f} MiB, of it shared pages {in_pages / MIB:.0f} MiB\n"
        f"growth of {SHARED} {in_folder / MIB:.0f} MiB, results {written / MIB:.1f} MiB\n"
    )
    return os.waitstatus_to_exitcode(status)


def shared_pages(pid: int) -> int:
    """Bytes that a process shares with others in memory; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssShmem:")), 0)


if __name__ == "__main__":
    sys.exit(main())
