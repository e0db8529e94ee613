"""What is done already, on disk: a shard counts once the journal names it, together with the folders in it."""

import json
import os
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from operators.documents import UNFINISHED, sync_to_disk, write_whole
from trainer.ingest.pseudonyms import Split
from trainer.ingest.shard_writer import ShardRecord
from trainer.ingest.statistics import Counts

JOURNAL_FILE = "journal.sqlite"
MANIFEST_FILE = "manifest.jsonl"
STATISTICS_FILE = "statistics.json"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS volumes (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS patients (patient TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards
    (name TEXT PRIMARY KEY, split TEXT, num_slices INTEGER, num_bytes INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts
    (topic TEXT, value TEXT, count INTEGER, PRIMARY KEY (topic, value)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What one batch of folders brought; nothing of it counts before it is recorded.

    folders : hashes of the folders, those that hold nothing included
    volumes : keys
    patients : hash to split
    """

    folders: tuple[str, ...]
    volumes: tuple[str, ...]
    patients: dict[str, Split]
    shards: tuple[ShardRecord, ...]
    counts: Counts


class IngestJournal:
    """One SQLite file beside the shards; memory does not grow with what it holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / JOURNAL_FILE
        if not path.exists() and any(folder.glob("*/*.tar")):
            raise ValueError(f"{folder}: shards without {JOURNAL_FILE}; choose an empty folder, or restore the file")
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self.remove_unfinished()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()

    def keep_setting(self, name: str, value: object) -> None:
        """Hold *value* against the one that this folder was begun with.

        Raises
        ------
        ValueError
            When they differ.
        """
        self._database.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, str(value)))
        ((kept,),) = self._database.execute("SELECT value FROM settings WHERE name = ?", (name,))
        if kept != str(value):
            raise ValueError(f"{name}: {self._folder} was begun with {kept}, got {value}; keep it, or begin another")

    def has_folder(self, folder: str) -> bool:
        return self._has("SELECT 1 FROM folders WHERE id = ?", folder)

    def record(self, result: BatchResult) -> None:
        """Give the shards their names and write down the batch, all of it or nothing.

        A process that ends between the two leaves shards that the journal does not know; the next one removes them.
        """
        for shard in result.shards:
            os.replace(self._folder / f"{shard.name}{UNFINISHED}", self._folder / shard.name)
        for split in {shard.split for shard in result.shards}:
            sync_to_disk(self._folder / split)
        database = self._database
        database.execute("BEGIN")
        database.executemany("INSERT OR IGNORE INTO folders VALUES (?)", [(folder,) for folder in result.folders])
        database.executemany("INSERT OR IGNORE INTO volumes VALUES (?)", [(key,) for key in result.volumes])
        database.executemany("INSERT OR IGNORE INTO patients VALUES (?, ?)", result.patients.items())
        database.executemany(
            "INSERT INTO shards VALUES (:name, :split, :num_slices, :num_bytes, :sha256)",
            [asdict(shard) for shard in result.shards],
        )
        database.executemany(
            "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            [(topic, value, count) for topic, counter in result.counts.items() for value, count in counter.items()],
        )
        database.execute("COMMIT")

    def remove_unfinished(self) -> None:
        """Delete shards that do not count; no worker may be writing."""
        for path in self._folder.glob("*/*.tar*"):
            name = path.relative_to(self._folder).as_posix()
            if name.endswith(UNFINISHED) or not self._has("SELECT 1 FROM shards WHERE name = ?", name):
                path.unlink()

    def write_manifest(self) -> None:
        """One line for each shard, then the statistics; each file replaced as a whole."""
        columns = [field.name for field in fields(ShardRecord)]
        rows = self._database.execute(f"SELECT {', '.join(columns)} FROM shards ORDER BY name")
        lines = (json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)
        write_whole(self._folder / MANIFEST_FILE, "".join(lines))
        write_whole(self._folder / STATISTICS_FILE, json.dumps(self.statistics(), indent=2) + "\n")

    def statistics(self) -> dict[str, dict[str, int]]:
        counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
        counts["patients"] = dict(self._database.execute("SELECT split, count(*) FROM patients GROUP BY split"))
        for topic, value, count in self._database.execute("SELECT * FROM counts ORDER BY topic, value"):
            counts[topic][value] = count
        return dict(counts)

    def _has(self, query: str, value: str) -> bool:
        return self._database.execute(query, (value,)).fetchone() is not None


def read_patients(folder: Path) -> dict[str, Split]:
    """Every patient's hash in the shards of *folder*, and its part of them."""
    with closing(sqlite3.connect(f"{(folder / JOURNAL_FILE).resolve().as_uri()}?mode=ro", uri=True)) as database:
        return dict(database.execute("SELECT patient, split FROM patients"))


class KnownVolumes:
    """The journal as a worker sees it: which volumes are in shards already."""

    def __init__(self, folder: Path) -> None:
        self._uri = f"{(folder / JOURNAL_FILE).resolve().as_uri()}?mode=ro"

    def __contains__(self, key: str) -> bool:
        with closing(sqlite3.connect(self._uri, uri=True, timeout=60)) as database:
            return database.execute("SELECT 1 FROM volumes WHERE key = ?", (key,)).fetchone() is not None
