"""How far a log was read, by the reader's name."""

import sqlalchemy as sa

from orthanc_plugin.ledger import database as db


class Cursors:
    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def read(self, name: str) -> int | None:
        with self._database.begin() as connection:
            return connection.scalar(sa.select(db.cursors.c.value).where(db.cursors.c.name == name))

    def set(self, name: str, value: int) -> None:
        with self._database.begin() as connection:
            db.put(connection, db.cursors, {"name": name, "value": value})
