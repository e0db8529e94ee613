"""What was wrong with Orthanc's answers of late, for the alarms."""

import time

from orthanc_plugin.domain.errors import ArchiveError

RECENT_SECONDS = 60.0


class RecentFaults:
    """When each kind of trouble was met last; a call that waits meets it again every few seconds."""

    def __init__(self) -> None:
        self._met_at: dict[str, float] = {}

    def note(self, error: ArchiveError) -> None:
        self._met_at[error.code] = time.monotonic()

    def has(self, code: str) -> bool:
        met_at = self._met_at.get(code)
        return met_at is not None and time.monotonic() - met_at < RECENT_SECONDS
