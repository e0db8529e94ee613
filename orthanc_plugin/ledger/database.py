"""The tables beside the durable engine's, on SQLite or PostgreSQL, and the two writes that both must do at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from orthanc_plugin.domain.errors import SettingsError

metadata = sa.MetaData()

PENDING, SENT = "pending", "sent"
"""States of a delivery."""
SQLITE_CACHE_KIB = 256
CODE_LENGTH, REASON_LENGTH, MESSAGE_LENGTH = 64, 200, 1000
NAME_LENGTH, COMMENT_LENGTH = 128, 2000

studies = sa.Table(
    "curia_studies",
    metadata,
    sa.Column("orthanc_id", sa.String(64), primary_key=True),
    sa.Column("study_instance_uid", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(REASON_LENGTH)),
    sa.Column("work_id", sa.String(64)),
    sa.Column("stable_at", sa.Float),
    sa.Column("updated_at", sa.Float, nullable=False, index=True),
)

series = sa.Table(
    "curia_series",
    metadata,
    sa.Column("orthanc_id", sa.String(64), primary_key=True),
    sa.Column("series", sa.JSON, nullable=False),
)

jobs = sa.Table(
    "curia_jobs",
    metadata,
    sa.Column("work_id", sa.String(64), primary_key=True),
    sa.Column("orthanc_id", sa.String(64), nullable=False, index=True),
    sa.Column("study_instance_uid", sa.String(64), nullable=False),
    sa.Column("source_digest", sa.String(64), nullable=False),
    sa.Column("pipeline_digest", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason_code", sa.String(CODE_LENGTH)),
    sa.Column("reason_message", sa.String(MESSAGE_LENGTH)),
    sa.Column("crashes", sa.Integer, nullable=False, default=0),
    sa.Column("stable_at", sa.Float, nullable=False),
    sa.Column("queued_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("finished_at", sa.Float),
    sa.Column("timings", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON),
    sa.Column("objects", sa.JSON, nullable=False),
    sa.Column("planned", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("warnings", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("priors", sa.JSON(none_as_null=True)),
    sa.Column("rule", sa.String(64)),
    sa.Column("priority", sa.Integer, nullable=False, server_default="100"),
    sa.Column("lease", sa.Integer, nullable=False, server_default="0"),
    sa.Column("open_starts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("marked", sa.JSON(none_as_null=True)),
    sa.Column("read_by", sa.String(64)),
    sa.Column("revision", sa.JSON(none_as_null=True)),
)

brought = sa.Table(
    "curia_brought",
    metadata,
    sa.Column("study_instance_uid", sa.String(64), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)

cursors = sa.Table(
    "curia_cursors",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

hosts = sa.Table(
    "curia_hosts",
    metadata,
    sa.Column("executor_id", sa.String(64), primary_key=True),
    sa.Column("beat", sa.BigInteger, nullable=False),
)

deliveries = sa.Table(
    "curia_deliveries",
    metadata,
    sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
    sa.Column("destination", sa.String(64), primary_key=True),
    sa.Column("work_id", sa.String(64), nullable=False, index=True),
    sa.Column("entry", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False, index=True),
    sa.Column("trouble", sa.String(MESSAGE_LENGTH)),
)

judgements = sa.Table(
    "curia_judgements",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("orthanc_id", sa.String(64), nullable=False, index=True),
    sa.Column("work_id", sa.String(64), nullable=False),
    sa.Column("finding", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("head", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("tracking_uid", sa.String(64)),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("comment", sa.String(COMMENT_LENGTH), nullable=False),
    sa.Column("person", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

audit = sa.Table(
    "curia_audit",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("person", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("orthanc_id", sa.String(64)),
    sa.Column("allowed", sa.Boolean, nullable=False),
)


def open_database(url: str) -> sa.Engine:
    """Connect, and bring an older version's tables up to date; existing rows keep what they hold.

    Raises ``SettingsError`` where there is no database that can be used.
    """
    # Connections are tried before use: a PostgreSQL that was restarted in between is no reason to fail.
    database = sa.create_engine(url, pool_pre_ping=True)
    if database.dialect.name == "sqlite":
        sa.event.listen(database, "connect", _prepare_sqlite)
    with _usable(), database.begin() as connection:
        if database.dialect.name == "postgresql":
            # Services that start together would create the same tables.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(20261122)"))
        metadata.create_all(connection)
        _add_missing_columns(connection)
    return database


def try_database(url: str) -> None:
    """``SettingsError`` where nobody lets us in; changes nothing."""
    database = sa.create_engine(url)
    with _usable(), database.connect():
        pass
    database.dispose()


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise SettingsError(f"database_url: the database cannot be used: {reason}") from error


def insert_once(connection: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> bool:
    """Insert unless a row with that key is there, whoever put it; true when it was not."""
    insert = _insert_for(connection)(table).values(**values).on_conflict_do_nothing()
    # Asked for by a column: drivers disagree about the number of rows of such an insert.
    return connection.execute(insert.returning(*table.primary_key)).first() is not None


def put(connection: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> None:
    """Insert, or set the other columns of the row with that key."""
    keys = [column.name for column in table.primary_key]
    others = {name: value for name, value in values.items() if name not in keys}
    insert = _insert_for(connection)(table).values(**values)
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=others))


def _insert_for(connection: sa.Connection) -> Any:
    return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[connection.dialect.name]


def _add_missing_columns(connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        present = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                definition = sa.schema.CreateColumn(column).compile(connection)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The engine and the ledger write to one file from several threads; WAL lets readers pass.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")
    # In KiB, for each connection; the system's own cache of the file serves all of them.
    connection.execute(f"PRAGMA cache_size=-{SQLITE_CACHE_KIB}")
