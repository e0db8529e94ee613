"""Shards made up for tests: every slice tells by its pixels which one it is."""

from pathlib import Path

import numpy as np

from operators.documents import UNFINISHED
from trainer.ingest.shard_writer import ShardWriter
from trainer.pretraining.data.samples import SliceSample


def numbered_slice(number: int) -> SliceSample:
    pixels = np.random.default_rng(number).integers(-1000, 1000, (24, 16 + number % 5), np.int16)
    pixels[0, 0] = number
    return SliceSample(
        pixels, (0.5, 0.75), "MR", "scanner units", "coronal", "head", "a" * 32, f"study-volume-{number:05d}"
    )


def write_shards(folder: Path, sizes: list[int]) -> list[Path]:
    """A shard of each size, slices numbered through."""
    paths, first = [], 0
    for shard, size in enumerate(sizes):
        with ShardWriter(folder, "train", f"s{shard}", shard_bytes=2**30) as writer:
            for number in range(first, first + size):
                writer.write(numbered_slice(number))
        first += size
        name = writer.records[0].name
        paths.append((folder / f"{name}{UNFINISHED}").rename(folder / name))
    return paths


def number_of(sample: SliceSample) -> int:
    return int(sample.pixels[0, 0])
