"""How much disk and time the input will take, told from a few folders before the work begins."""

import random
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

from operators.errors import UnsupportedPixelDataError
from trainer.ingest.batch import IngestSettings
from trainer.ingest.found_volumes import Refused, find_volumes
from trainer.ingest.pseudonyms import Pseudonyms
from trainer.ingest.reader_messages import silence_readers
from trainer.ingest.shard_writer import encode_pixels
from trainer.ingest.slicing import slices_of_volume
from trainer.ingest.sources import Folder

NUM_SAMPLES = 64
SURVEY_SECONDS = 20.0
"""Spent on counting files; a tree of 200 million takes longer than anybody waits for an estimate."""
TRIAL_SECONDS = 10.0
TRIAL_BYTES = 128 * 2**20
"""Larger folders are counted, but not tried."""

FILE_BYTES, FILE_SECONDS = 280e3, 0.02
"""Bytes and seconds of a slice of 512 x 512 (docs/pre-training.md), for the files of folders that were not tried."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is still to be read.

    is_whole : whether the time was enough to see every folder
    samples : a few folders, each with the same chance
    """

    num_folders: int
    num_files: int
    num_bytes: int
    is_whole: bool
    samples: tuple[Folder, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the shards will be: slices and bytes; seconds for one worker.

    is_tried : whether some of the input was read for it
    """

    num_slices: float
    num_bytes: float
    seconds: float
    is_tried: bool = True


def survey_folders(folders: Iterable[Folder], *, seconds: float = SURVEY_SECONDS) -> Survey:
    """Count, and draw samples by Vitter's reservoir (algorithm R)."""
    rng = random.Random(0)
    until = time.monotonic() + seconds
    samples: list[Folder] = []
    num_folders = num_files = num_bytes = seen = 0
    for folder in folders:
        if time.monotonic() > until:
            return Survey(num_folders, num_files, num_bytes, False, tuple(samples))
        num_folders, num_files, num_bytes = (
            num_folders + 1,
            num_files + len(folder.files),
            num_bytes + folder.num_bytes,
        )
        if folder.num_bytes <= TRIAL_BYTES:
            seen += 1
            place = rng.randrange(seen)
            if len(samples) < NUM_SAMPLES:
                samples.append(folder)
            elif place < NUM_SAMPLES:
                samples[place] = folder
    return Survey(num_folders, num_files, num_bytes, True, tuple(samples))


def estimate_apart(survey: Survey, settings: IngestSettings, pseudonyms: Pseudonyms) -> Estimate:
    """`estimate` in a process of its own, since a decoder may crash on what it tries; else by the number of files."""
    tried = None
    if survey.samples:
        with ProcessPoolExecutor(1, get_context("spawn"), initializer=silence_readers) as pool:
            try:
                tried = pool.submit(estimate, survey, settings, pseudonyms).result()
            except BrokenProcessPool:
                pass
    count = survey.num_files
    return tried or Estimate(count, count * FILE_BYTES, count * FILE_SECONDS, is_tried=False)


def estimate(survey: Survey, settings: IngestSettings, pseudonyms: Pseudonyms) -> Estimate | None:
    """What the samples take, by their share of the input's bytes; None where there is nothing to try."""
    start = time.monotonic()
    tried = num_slices = num_bytes = 0
    for folder in survey.samples:
        for found in find_volumes(folder, pseudonyms, settings.rules):
            if isinstance(found, Refused):
                continue
            try:
                sizes = [len(encode_pixels(sample.pixels)) for sample in slices_of_volume(found)]
            except UnsupportedPixelDataError:
                continue
            num_slices, num_bytes = num_slices + len(sizes), num_bytes + sum(sizes)
        tried += folder.num_bytes
        if time.monotonic() - start > TRIAL_SECONDS:
            break
    if not tried:
        return None
    factor = survey.num_bytes / tried
    return Estimate(num_slices * factor, num_bytes * factor, (time.monotonic() - start) * factor)
