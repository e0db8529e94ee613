from pathlib import Path

import sqlalchemy as sa

from orthanc_plugin.ledger.database import cursors, insert_once, open_database, put


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
