"""The features of runs, kept for a while on this host: what looks like a place is asked of them, not of the encoder."""

import shutil
from pathlib import Path

FILE_NAME = "kept.json"
"""The file that the pipeline writes last."""


class KeptFeatures:
    """A folder for each piece of work.

    limit_bytes : of all of them; with 0 none is kept, and who asks waits for the encoder each time
    """

    def __init__(self, folder: Path, *, limit_bytes: float) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    @property
    def is_wanted(self) -> bool:
        return self.limit_bytes > 0

    def of(self, work_id: str) -> Path:
        return self.folder / work_id

    def are_kept(self, work_id: str) -> bool:
        return (self.of(work_id) / FILE_NAME).is_file()

    def remove_leftovers(self) -> None:
        """What cut-off runs left; only while nothing runs."""
        for folder in self.folder.glob("*.part-*"):
            shutil.rmtree(folder, ignore_errors=True)
