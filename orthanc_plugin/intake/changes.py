"""Reading Orthanc's change log from a stored cursor.

The log is a wake-up source, not the truth: Orthanc drops entries of deleted resources, and a study whose stable
window was cut short by a kill never gets its entry at all. The sweep covers both.
"""

from collections.abc import Iterator

from orthanc_plugin.archive.answers import Changes
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.ledger.cursors import Cursors

CURSOR = "orthanc-changes"
STUDY_CHANGES = frozenset({"NewStudy", "StableStudy"})


def changed_studies(changes: Changes) -> tuple[str, ...]:
    """Orthanc ids of the studies that came or came to rest, each once, in order."""
    studies = (
        change.resource_id
        for change in changes.entries
        if change.resource_type == "Study" and change.change_type in STUDY_CHANGES
    )
    return tuple(dict.fromkeys(studies))


class ChangeLog:
    """Hands over every change once; the cursor moves only after the consumer took the studies.

    reader : name of the host; each has a cursor of its own, so that what one has read and not yet dealt with when it
        dies is read by the others too
    """

    def __init__(self, client: OrthancClient, cursors: Cursors, *, reader: str) -> None:
        self._client = client
        self._cursors = cursors
        self._cursor = f"{CURSOR}/{reader}"

    def rewind_if_replaced(self) -> None:
        """Start at the end on the first run, and again when Orthanc has a new, shorter log."""
        last = self._client.last_change()
        cursor = self._cursors.read(self._cursor)
        if cursor is None or cursor > last:
            self._cursors.set(self._cursor, last)

    def read(self) -> Iterator[tuple[str, ...]]:
        """Groups of study ids until the log is read to its end."""
        done = False
        while not done:
            since = self._cursors.read(self._cursor) or 0
            changes = self._client.changes(since)
            yield changed_studies(changes)
            if changes.last > since:
                self._cursors.set(self._cursor, changes.last)
            # A log that does not go on is no reason to ask for ever.
            done = changes.done or changes.last <= since
