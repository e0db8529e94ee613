"""How fast a folder of slices becomes a volume, beside what others do: rows of ``build/bench.json``.

    python tests/benchmarks/bench_reading.py [--out build/bench.json] [--rivals build/rivals]

The 32 slices of the bundled chest CT, one after the other until there are 275, lie in a temporary folder, uncompressed
and as JPEG 2000. Every measurement is warm, ours and the rival's take turns, and medians count. MONAI Deploy's
operators need MONAI itself, which ``make bench`` puts into the rivals' folder; without it their row is absent.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom
import numpy as np
import pydicom
import SimpleITK
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from benchmarks.side_by_side import REPEATS, Row, compare, row, seconds, write_rows  # noqa: E402
from operators.dicom.study.study_index import index_study  # noqa: E402
from operators.dicom.volumes.volume_reader import read_series  # noqa: E402
from phantoms import SeriesSpec, build_datasets, save_series  # noqa: E402

CHEST_CT = TESTS / "data" / "ct_chest_lidc0314"
NUM_SLICES = 275
NUM_SERIES, NUM_FILES = 93, 3000
INDEX_GOAL_SECONDS = 5.0
MEMORY_GOAL = 1.2


def main() -> None:
    arguments = _arguments()
    if arguments.peak:
        sys.stdout.write(json.dumps(_peak_memory(arguments.peak)))
        return
    with TemporaryDirectory() as scratch:
        write_rows(_rows(Path(scratch), arguments.rivals), arguments.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--rivals", type=Path, default=Path("build/rivals"), help="where MONAI is installed")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _rows(scratch: Path, rivals: Path) -> Iterator[Row]:
    plain = _long_series(scratch / "uncompressed", ExplicitVRLittleEndian)
    name = f"{NUM_SLICES} CT slices, uncompressed, folder to float32 volume"
    yield compare(name, lambda: _read(plain), "highdicom get_volume_from_series", lambda: _read_by_highdicom(plain))
    yield compare(name, lambda: _read(plain), "SimpleITK ImageSeriesReader", lambda: _read_by_simpleitk(plain))
    yield compare(name, lambda: _read(plain), "physical limit: read the bytes, one copy", lambda: _read_bytes(plain))
    if (rivals / "monai").is_dir():
        yield _monai_deploy(name, plain, rivals)
    yield _memory(plain)
    encoded = _long_series(scratch / "jpeg2000", JPEG2000Lossless)
    yield compare(
        name.replace("uncompressed", "JPEG 2000"),
        lambda: _read(encoded),
        "highdicom get_volume_from_series",
        lambda: _read_by_highdicom(encoded),
        repeats=3,
    )
    yield _indexing(scratch / "study")


def _long_series(folder: Path, syntax: UID) -> Path:
    """The bundled slices over and over, 1 mm apart, each an instance of its own."""
    folder.mkdir()
    slices = [pydicom.dcmread(path) for path in sorted(CHEST_CT.iterdir())]
    for dataset in slices:
        dataset.decompress(generate_instance_uid=False)
        # The collection gives every slice a frame of reference of its own; highdicom refuses that.
        dataset.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.1"
        if syntax.is_encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
    for number in range(NUM_SLICES):
        dataset = slices[number % len(slices)]
        dataset.InstanceNumber = number + 1
        dataset.ImagePositionPatient[2] = float(number)
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[f"slice {number}"])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / f"{number}.dcm")
    return folder


def _read(folder: Path) -> np.ndarray:
    (series,) = index_study(folder).series
    return read_series(series, role="benchmark").volume.array


def _read_by_highdicom(folder: Path) -> np.ndarray:
    datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
    return highdicom.get_volume_from_series(datasets, dtype=np.float32).array


def _read_by_simpleitk(folder: Path) -> np.ndarray:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    return SimpleITK.GetArrayFromImage(reader.Execute())


def _read_bytes(folder: Path) -> np.ndarray:
    paths = list(folder.iterdir())
    volume = np.empty((len(paths), 512 * 512), np.float32)

    def read(path: Path, target: np.ndarray) -> None:
        target[:] = np.frombuffer(path.read_bytes()[-2 * target.size :], "<u2")

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, paths, volume))
    return volume


def _monai_deploy(name: str, folder: Path, rivals: Path) -> Row:
    """In a process of its own, which has MONAI; the times are taken inside, imports left out."""
    command = [sys.executable, "-W", "ignore", Path(__file__).parent / "monai_deploy_reading.py", folder]
    environment = os.environ | {"PYTHONPATH": str(rivals)}
    times, ours = [], []
    for _ in range(REPEATS):
        output = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
        times.append(json.loads(output.splitlines()[-1]))
        ours.append(seconds(lambda: _read(folder)))
    rival_name = "MONAI Deploy loader and series-to-volume operators"
    detail = f"medians of {REPEATS} turns, warm; the rival in its own process"
    return row(name, statistics.median(ours), rival_name, statistics.median(times), detail=detail)


def _memory(folder: Path) -> Row:
    command = [sys.executable, __file__, "--peak", folder]
    peak, volume = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return row(
        "peak memory beside the volume's",
        peak / volume,
        f"goal: {MEMORY_GOAL} volumes",
        MEMORY_GOAL,
        unit="volumes",
        detail=f"largest resident set less that of the imports, {volume / 2**20:.0f} MiB volume, in its own process",
    )


def _peak_memory(folder: Path) -> tuple[int, int]:
    before = _peak_bytes()
    volume = _read(folder)
    return _peak_bytes() - before, volume.nbytes


def _peak_bytes() -> int:
    """Of this program alone; the kernel's ru_maxrss goes on with what the parent process had reached."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _indexing(folder: Path) -> Row:
    for number, part in enumerate(np.array_split(np.arange(NUM_FILES), NUM_SERIES)):
        spec = SeriesSpec(shape=(len(part), 8, 8), series=f"series {number}", series_number=number + 1)
        save_series(build_datasets(spec), folder / str(number))
    index_study(folder)
    taken = statistics.median(seconds(lambda: index_study(folder)) for _ in range(3))
    name = f"index of a study of {NUM_SERIES} series and {NUM_FILES} files"
    detail = "median of 3, warm; synthetic small slices"
    return row(name, taken, "goal", INDEX_GOAL_SECONDS, detail=detail)


if __name__ == "__main__":
    main()
