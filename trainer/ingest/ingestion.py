"""Input trees to shards: batches of folders to worker processes, their results to the journal."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from errno import ENOSPC
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from trainer.ingest.batch import IngestSettings, ingest_batch
from trainer.ingest.journal import BatchResult, IngestJournal
from trainer.ingest.pseudonyms import Pseudonyms, read_or_make_key
from trainer.ingest.reader_messages import silence_readers
from trainer.ingest.sources import Folder, in_batches, walk
from trainer.pretraining.folder_lock import only_writer
from trainer.worker_processes import end_with_parent

Batch = tuple[Folder, ...]
Tell = Callable[[Batch, BatchResult], None]
"""Called with each batch that is recorded."""


class Ingestion:
    """Work on one output folder, which no other process may work on at the same time."""

    def __init__(self, settings: IngestSettings, journal: IngestJournal, pseudonyms: Pseudonyms) -> None:
        self.settings = settings
        self.pseudonyms = pseudonyms
        self._journal = journal

    def folders_to_do(self, trees: Iterable[Path]) -> Iterator[Folder]:
        """Those that the journal does not know, or knew with other files in them."""
        for folder in walk(trees):
            if not self._journal.has_folder(self.pseudonyms.of("folder", *folder.words)):
                yield folder

    def run(self, trees: Iterable[Path], *, workers: int, batch_bytes: int, tell: Tell) -> dict[str, dict[str, int]]:
        """Read everything that is still to do; the statistics of the whole output folder.

        batch_bytes : of input, that a worker takes at a time

        A worker that dies, as a decoder may on damaged data, takes its batch along. The folders that were under way are
        read again one by one, and one that kills its worker again is refused.
        """
        batches = in_batches(self.folders_to_do(trees), batch_bytes)
        while lost := self._run_until_death(batches, workers, tell):
            self._journal.remove_unfinished()
            for folder in (folder for batch in lost for folder in batch):
                if self._run_until_death(iter([(folder,)]), 1, tell):
                    self._journal.remove_unfinished()
                    self._refuse(folder, tell)
        self._journal.write_manifest()
        return self._journal.statistics()

    def _run_until_death(self, batches: Iterator[Batch], workers: int, tell: Tell) -> list[Batch]:
        """Empty when all batches are done; else those that were under way when a worker died."""
        claimed: dict[int, Batch] = {}
        running: dict[Future[BatchResult], int] = {}
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker) as pool:
            try:
                while True:
                    for batch in islice(batches, 2 * workers - len(claimed)):
                        claimed[id(batch)] = batch
                        running[pool.submit(ingest_batch, batch, self.settings, self.pseudonyms)] = id(batch)
                    if not running:
                        return []
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        self._journal.record(result)
                        tell(claimed.pop(running.pop(future)), result)
            except BrokenProcessPool:
                return list(claimed.values())
            except (OSError, sqlite3.OperationalError) as error:
                if isinstance(error, sqlite3.OperationalError):
                    is_full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
                else:
                    is_full = error.errno == ENOSPC
                if is_full:
                    message = f"{self.settings.out}: the disk is full; free some and begin again, it goes on from here"
                    raise OSError(message) from error
                raise

    def _refuse(self, folder: Folder, tell: Tell) -> None:
        name = self.pseudonyms.of("folder", *folder.words)
        result = BatchResult((name,), (), {}, (), {"refused": {"folder: its worker died twice": 1}})
        self._journal.record(result)
        tell((folder,), result)


@contextmanager
def open_ingestion(settings: IngestSettings) -> Iterator[Ingestion]:
    """The output folder, made, locked and freed from what an earlier run left unfinished.

    Raises
    ------
    ValueError
        When another process works on it, or when it was begun with other settings.
    """
    with only_writer(settings.out), IngestJournal(settings.out) as journal:
        journal.keep_setting("validation share", settings.validation_share)
        yield Ingestion(settings, journal, read_or_make_key(settings.out))


def _begin_worker() -> None:
    silence_readers()
    end_with_parent()
