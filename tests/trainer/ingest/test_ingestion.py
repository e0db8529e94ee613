"""The whole command, with its worker processes."""

import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phantoms import SeriesSpec, build_datasets, grid_positions, phantom_value, save_series
from trainer.ingest.batch import IngestSettings
from trainer.ingest.ingestion import open_ingestion
from trainer.ingest.journal import JOURNAL_FILE, BatchResult, IngestJournal
from trainer.ingest.pseudonyms import KEY_FILE, read_or_make_key
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.data.shards import read_shards

ROOT = Path(__file__).parents[3]
SPEC = SeriesSpec(
    shape=(4, 12, 16),
    slice_spacing=9.0,
    patient_name="CANARY^NAME",
    series_description="CANARY DESCRIPTION",
)
SLICES = 4


def _patients(tree: Path, numbers: range) -> None:
    for number in numbers:
        spec = replace(SPEC, patient_id=f"CANARY-{number}", study=str(number), rescale_intercept=-1024.0 - number)
        datasets = build_datasets(spec, lambda places, number=number: phantom_value(places) + number)
        for dataset in datasets:
            dataset.BodyPartExamined = "CHEST"
            dataset.PatientBirthDate = "19511227"
        save_series(datasets, tree / f"CANARY {number}" / "series")


def _ingest(tree: Path, out: Path, *, share: float = 0.3, workers: int = 1, batch_bytes: int = 2**14) -> dict:
    settings = IngestSettings(out, share, (), shard_bytes=2**13)
    with open_ingestion(settings) as ingestion:
        return ingestion.run([tree], workers=workers, batch_bytes=batch_bytes, tell=lambda batch, result: None)


def _samples(out: Path) -> Iterator[tuple[str, SliceSample]]:
    for split in ("train", "validation"):
        if (out / split).exists():
            yield from ((split, sample) for sample in read_shards(f"{out}/{split}/*.tar"))


def _content(out: Path) -> list[tuple[str, str, bytes]]:
    return sorted((split, sample.key, sample.pixels.tobytes()) for split, sample in _samples(out))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("input")
    _patients(tree, range(12))
    return tree


@pytest.fixture(scope="module")
def out(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ingested")
    _ingest(tree, out, workers=2)
    return out


def test_every_slice_is_the_formulas_with_its_place_and_words(out: Path) -> None:
    truth = phantom_value(grid_positions(SPEC.geometry))
    samples = [sample for _, sample in _samples(out)]

    assert len({sample.key for sample in samples}) == len(samples) == 12 * SLICES
    numbers = {read_or_make_key(out).of("patient", f"CANARY-{number}", ""): number for number in range(12)}
    for sample in samples:
        number = numbers[sample.patient]
        np.testing.assert_array_equal(sample.pixels, truth[int(sample.key[-5:])] + number)
        assert (sample.modality, sample.plane, sample.region) == ("CT", "axial", "chest")
        assert sample.spacing_mm == pytest.approx((1.2, 0.9))


def test_no_patient_is_in_both_splits(out: Path) -> None:
    splits: dict[str, set[str]] = {}
    for split, sample in _samples(out):
        splits.setdefault(sample.patient, set()).add(split)
    assert len(splits) == 12
    assert {frozenset(found) for found in splits.values()} == {frozenset({"train"}), frozenset({"validation"})}


def test_the_manifest_tells_digest_and_size_of_every_shard(out: Path) -> None:
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]

    assert [line["name"] for line in lines] == sorted(path.relative_to(out).as_posix() for path in out.glob("*/*.tar"))
    assert sum(line["num_slices"] for line in lines) == 12 * SLICES
    for line in lines:
        content = (out / line["name"]).read_bytes()
        assert line["sha256"] == hashlib.sha256(content).hexdigest()
        assert line["num_bytes"] == len(content) <= 2**13 + 2**14


def test_the_statistics_count_what_the_shards_hold(out: Path) -> None:
    counts = json.loads((out / "statistics.json").read_text())
    assert sum(counts["slices"].values()) == 12 * SLICES
    assert sum(counts["volumes"].values()) == sum(counts["patients"].values()) == 12
    assert counts["modality"] == {"CT": 12 * SLICES}
    assert counts["rows x columns"] == {"12 x 16": 12 * SLICES}
    assert "refused" not in counts


def test_no_byte_of_the_output_names_a_patient(tree: Path, out: Path) -> None:
    names = [b"CANARY", b"19511227", SPEC.uid("series").encode(), replace(SPEC, study="3").uid("study").encode()]
    assert any(names[0] in path.read_bytes() for path in tree.rglob("*.dcm"))
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        assert not any(name in content for name in names), path
    for _, sample in _samples(out):
        assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{16}-\d{5}", sample.key)
        assert re.fullmatch(r"[0-9a-f]{32}", sample.patient)


def test_data_that_are_added_change_nothing_that_is_there(tmp_path: Path) -> None:
    tree, out = tmp_path / "in", tmp_path / "out"
    _patients(tree, range(3))
    _ingest(tree, out)
    before = {path: path.read_bytes() for path in out.glob("*/*.tar")}
    slices = _content(out)

    _patients(tree, range(2, 6))  # Patient 2 again, equal to the byte.
    save_series(build_datasets(replace(SPEC, patient_id="CANARY-0", study="0", series="new")), tree / "CANARY 0/series")
    counts = _ingest(tree, out)

    assert {path: path.read_bytes() for path in before} == before
    assert len(_content(out)) == len(slices) + 4 * SLICES
    assert set(slices) < set(_content(out))
    # The folder that a series came to was read again; the series it had before was not stored again.
    assert counts["refused"] == {"volume: in the shards already": 1}


KILLED_AT_ITS_FIFTH_SHARD = """
import os, signal, sys
renamed = []
def watch(event, args):
    if event == "os.rename" and str(args[1]).endswith(".tar"):
        renamed.append(args[1])
        if len(renamed) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
"""

PROGRAM = """
import sys
from pathlib import Path
from trainer.ingest.batch import IngestSettings
from trainer.ingest.ingestion import open_ingestion
if __name__ == "__main__":
    with open_ingestion(IngestSettings(Path(sys.argv[2]), 0.3, (), shard_bytes=2**13)) as ingestion:
        ingestion.run([Path(sys.argv[1])], workers=2, batch_bytes=1, tell=lambda batch, result: None)
"""


def test_a_killed_run_goes_on_to_the_same_slices(tree: Path, out: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    # One key, so that the hashes can be compared.
    (killed / KEY_FILE).write_bytes((out / KEY_FILE).read_bytes())
    _run_program(tmp_path, KILLED_AT_ITS_FIFTH_SHARD, PROGRAM, tree, killed)
    assert len(list(killed.glob("*/*.tar"))) == 4
    (killed / "train/unknown-0000.tar").write_bytes(b"named, but not in the journal")

    _ingest(tree, killed)

    assert _content(killed) == _content(out)
    assert not list(killed.glob("*/*.part"))
    assert not (killed / "train/unknown-0000.tar").exists()


def _run_program(folder: Path, watcher: str, program: str, *arguments: Path) -> None:
    (folder / "start").mkdir()
    (folder / "start/sitecustomize.py").write_text(watcher)
    (folder / "program.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": f"{folder / 'start'}:{ROOT}"}
    process = subprocess.run([sys.executable, folder / "program.py", *arguments], env=environment, timeout=120)
    assert process.returncode == -signal.SIGKILL


def test_a_folder_that_kills_its_worker_is_refused_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, out = tmp_path / "in", tmp_path / "out"
    _patients(tree, range(5))
    # Workers are new interpreters: what their start-up imports can stand for a decoder that crashes.
    (tmp_path / "crash").mkdir()
    (tmp_path / "crash/sitecustomize.py").write_text(
        "import os, sys\n"
        "def watch(event, args):\n"
        "    if event == 'open' and 'CANARY 3' in str(args[0]) and str(args[0]).endswith('.dcm'):\n"
        "        os._exit(9)\n"
        "sys.addaudithook(watch)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'crash'}:{ROOT}")

    counts = _ingest(tree, out, batch_bytes=1)

    assert sum(counts["volumes"].values()) == 4
    assert counts["refused"] == {"folder: its worker died twice": 1}


FULL_AT_ITS_FOURTH_SHARD = """
import os, sys
begun = []
def watch(event, args):
    if event == "open" and args[2] & os.O_CREAT and str(args[0]).endswith(".tar.part"):
        begun.append(args[0])
        if len(begun) == 4:
            raise OSError(28, "No space left on device", args[0])
sys.addaudithook(watch)
"""


@pytest.fixture
def full(out: Path, tmp_path: Path) -> Path:
    """A folder on a disk that will be full, with the key of *out*."""
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / KEY_FILE).write_bytes((out / KEY_FILE).read_bytes())
    return folder


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    tree: Path, out: Path, full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FULL_AT_ITS_FOURTH_SHARD)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    with pytest.raises(OSError, match="the disk is full; free some and begin again"):
        _ingest(tree, full, batch_bytes=1)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert len(list(full.glob("*/*.tar"))) == 3

    _ingest(tree, full)

    assert _content(full) == _content(out)


def test_a_disk_too_full_for_the_journal_is_told_alike(
    tree: Path, out: Path, full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record_on_a_full_disk(journal: IngestJournal, result: BatchResult) -> None:
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("CREATE TABLE t (x)")
            database.execute("PRAGMA max_page_count = 2")
            database.execute("INSERT INTO t VALUES (zeroblob(100000))")

    with monkeypatch.context() as patched:
        patched.setattr(IngestJournal, "record", record_on_a_full_disk)
        with pytest.raises(OSError, match="the disk is full; free some and begin again"):
            _ingest(tree, full, batch_bytes=1)

    _ingest(tree, full)

    assert _content(full) == _content(out)


def test_a_second_process_is_kept_out(tree: Path, out: Path) -> None:
    with (
        open_ingestion(IngestSettings(out, 0.3, (), shard_bytes=2**13)),
        pytest.raises(ValueError, match="another process writes to it"),
    ):
        _ingest(tree, out)


def test_another_share_would_move_patients_and_is_refused(tree: Path, out: Path) -> None:
    with pytest.raises(ValueError, match=r"validation share: .* was begun with 0.3, got 0.5"):
        _ingest(tree, out, share=0.5)


def test_shards_whose_journal_is_lost_are_not_deleted(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/0-0000.tar").write_bytes(b"a shard")
    with pytest.raises(ValueError, match=f"shards without {JOURNAL_FILE}"):
        _ingest(tree, tmp_path)
    assert (tmp_path / "train/0-0000.tar").exists()
