import contextlib
import ctypes
import re
from pathlib import Path

import sqlalchemy as sa

from orthanc_plugin.ledger.database import SQLITE_CACHE_KIB, cursors, insert_once, open_database, put


def test_an_older_versions_table_gets_the_new_columns_and_keeps_its_rows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    old = sa.create_engine(url)
    columns = (
        "work_id VARCHAR(64) PRIMARY KEY, orthanc_id VARCHAR(64), study_instance_uid VARCHAR(64), state VARCHAR(16), "
        "source_digest VARCHAR(64), pipeline_digest VARCHAR(64), reason_code VARCHAR(64), reason_message VARCHAR, "
        "crashes INTEGER, stable_at FLOAT, queued_at FLOAT, started_at FLOAT, finished_at FLOAT, timings JSON, "
        "result JSON, objects JSON"
    )
    with old.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE curia_jobs ({columns})"))
        connection.execute(sa.text("INSERT INTO curia_jobs (work_id, state) VALUES ('w', 'stored')"))
    old.dispose()
    for _ in range(2):
        database = open_database(url)
        with database.begin() as connection:
            row = connection.execute(sa.text("SELECT * FROM curia_jobs")).one()
        assert (row.work_id, row.state, row.planned, row.warnings, row.rule, row.priority) == (
            "w", "stored", "{}", "[]", None, 100,
        )  # fmt: skip
        database.dispose()


def test_the_first_insert_counts_and_the_last_put(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'new.sqlite'}")
    with database.begin() as connection:
        assert insert_once(connection, cursors, {"name": "c", "value": 1})
        assert not insert_once(connection, cursors, {"name": "c", "value": 2})
        assert connection.scalar(sa.select(cursors.c.value)) == 1
        put(connection, cursors, {"name": "c", "value": 3})
        assert connection.scalar(sa.select(cursors.c.value)) == 3
    database.dispose()


def test_a_connection_to_a_file_keeps_little_of_it_in_memory(tmp_path: Path) -> None:
    """What SQLite itself says that it holds; its own measure would be 2 MiB for each connection."""
    database = open_database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with database.begin() as connection:
        connection.execute(sa.text("CREATE TABLE large (text VARCHAR)"))
        connection.execute(sa.text("INSERT INTO large VALUES (:text)"), [{"text": "x" * 2000}] * 2000)
    (library, *_) = re.findall(r"(/\S*libsqlite3\S*)", Path("/proc/self/maps").read_text())
    memory_used = ctypes.CDLL(library).sqlite3_memory_used
    memory_used.restype = ctypes.c_int64
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(database.connect()) for _ in range(4)]
        before = memory_used()
        for connection in connections:
            assert connection.execute(sa.text("SELECT sum(length(text)) FROM large")).scalar() == 4_000_000
        assert memory_used() - before < 4 * 1.5 * SQLITE_CACHE_KIB * 1024
    database.dispose()
