"""One batch of folders to shards of its own: what a worker process does."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from operators.errors import UnsupportedPixelDataError
from trainer.ingest.found_volumes import FileRule, FoundVolume, Refused, find_volumes, reason_of
from trainer.ingest.journal import BatchResult, KnownVolumes
from trainer.ingest.pseudonyms import Pseudonyms, Split, split_of
from trainer.ingest.shard_writer import ShardWriter
from trainer.ingest.slicing import slices_of_volume
from trainer.ingest.sources import Folder
from trainer.ingest.statistics import ContentStatistics


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """How a tree is read into shards.

    validation_share : of the patients
    rules : which NIfTI files and pictures are images, and of what
    shard_bytes : at which a shard is closed
    """

    out: Path
    validation_share: float
    rules: tuple[FileRule, ...]
    shard_bytes: int


def ingest_batch(folders: tuple[Folder, ...], settings: IngestSettings, pseudonyms: Pseudonyms) -> BatchResult:
    """Read the folders' volumes and write their slices."""
    known = KnownVolumes(settings.out)
    names = tuple(pseudonyms.of("folder", *folder.words) for folder in folders)
    # Named after its folders: a batch that is done once more writes the same names.
    stem = pseudonyms.of("batch", *names, num_bytes=6)
    statistics = ContentStatistics()
    taken: set[str] = set()
    patients: dict[str, Split] = {}
    with ExitStack() as stack:
        writers: dict[str, ShardWriter] = {
            split: stack.enter_context(ShardWriter(settings.out, split, stem, shard_bytes=settings.shard_bytes))
            for split in get_args(Split)
        }
        for folder in folders:
            for found in find_volumes(folder, pseudonyms, settings.rules):
                if isinstance(found, Refused):
                    statistics.refuse(found.reason)
                elif found.key in taken or found.key in known:
                    statistics.refuse("volume: in the shards already")
                elif write_volume(found, writers, statistics, settings.validation_share):
                    taken.add(found.key)
                    patients[found.patient] = split_of(found.patient, settings.validation_share)
    records = tuple(record for writer in writers.values() for record in writer.records)
    return BatchResult(names, tuple(taken), patients, records, statistics.counts)


def write_volume(
    found: FoundVolume, writers: dict[str, ShardWriter], statistics: ContentStatistics, validation_share: float
) -> bool:
    """Whether the volume can be stored as int16, and was."""
    split = split_of(found.patient, validation_share)
    try:
        for sample in slices_of_volume(found):
            writers[split].write(sample)
            statistics.add_slice(sample, split)
    except UnsupportedPixelDataError as error:
        statistics.refuse(reason_of(error))
        return False
    statistics.add_volume(split)
    return True
