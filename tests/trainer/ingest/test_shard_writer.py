import hashlib
import tarfile
from pathlib import Path

import numpy as np

from shard_cases import numbered_slice
from trainer.ingest.shard_writer import ShardWriter, encode_pixels


def test_shards_are_closed_when_they_are_full_and_count_only_by_another_name(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "validation", "stem", shard_bytes=6000) as writer:
        for number in range(10):
            writer.write(numbered_slice(number))

    assert sum(record.num_slices for record in writer.records) == 10
    assert len(writer.records) > 2
    assert list(tmp_path.glob("*/*.tar")) == []
    for number, record in enumerate(writer.records):
        assert record.name == f"validation/stem-{number:04d}.tar"
        content = (tmp_path / f"{record.name}.part").read_bytes()
        assert (record.num_bytes, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_nothing_written_makes_no_file(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "train", "stem", shard_bytes=6000) as writer:
        pass
    assert writer.records == []
    assert list(tmp_path.iterdir()) == []


def test_the_standard_library_reads_pixels_and_facts_in_turn(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "train", "stem", shard_bytes=2**20) as writer:
        for number in range(3):
            writer.write(numbered_slice(number))
    with tarfile.open(tmp_path / "train/stem-0000.tar.part") as shard:
        names = shard.getnames()
    assert names == [f"{numbered_slice(number).key}.{kind}" for number in range(3) for kind in ("npy.gz", "json")]


def test_the_same_slices_give_the_same_bytes() -> None:
    pixels = np.arange(600, dtype=np.int16).reshape(20, 30)
    assert encode_pixels(pixels) == encode_pixels(pixels.copy())
