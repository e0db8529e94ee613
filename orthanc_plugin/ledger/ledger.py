"""What the service knows of studies and work: SQL tables of our own beside the durable engine's.

The engine makes steps happen; the ledger says in which state things are, what came out, and how far the change
log was read. Works on SQLite and PostgreSQL.
"""

from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa

from orthanc_plugin.ledger.audit import Audit
from orthanc_plugin.ledger.cursors import Cursors
from orthanc_plugin.ledger.database import open_database
from orthanc_plugin.ledger.figures import Figures
from orthanc_plugin.ledger.jobs import Jobs
from orthanc_plugin.ledger.judgements import Judgements
from orthanc_plugin.ledger.studies import Studies


@dataclass(frozen=True, slots=True)
class Ledger:
    """Its parts on one database; each of their methods is one transaction."""

    database: sa.Engine
    jobs: Jobs
    studies: Studies
    cursors: Cursors
    figures: Figures
    judgements: Judgements
    audit: Audit

    @classmethod
    def open(cls, url: str) -> Self:
        """``SettingsError`` where there is no database that can be used."""
        database = open_database(url)
        jobs = Jobs(database)
        return cls(
            database,
            jobs,
            Studies(database, jobs),
            Cursors(database),
            Figures(database),
            Judgements(database),
            Audit(database),
        )

    def close(self) -> None:
        self.database.dispose()
