import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from shard_cases import number_of, numbered_slice, write_shards
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.data.shards import DamagedShardError, index_shard, list_shards, read_shards, read_slice


def _fields(sample: SliceSample) -> dict[str, Any]:
    return {**asdict(sample), "pixels": sample.pixels.tolist()}


def test_a_slice_comes_back_as_it_was_written(tmp_path: Path) -> None:
    (path,) = write_shards(tmp_path, [4])
    index = index_shard(path)

    assert len(index) == 4
    for number in range(4):
        read = read_slice(index, number)
        assert read.pixels.dtype == np.int16
        assert _fields(read) == _fields(numbered_slice(number))


def test_all_shards_of_a_pattern_in_order(tmp_path: Path) -> None:
    write_shards(tmp_path, [3, 1, 2])
    assert [number_of(sample) for sample in read_shards(f"{tmp_path}/train/*.tar")] == list(range(6))


def test_a_pattern_may_name_several_folders(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        write_shards(tmp_path / name, [1])
    assert list_shards(f"{tmp_path}/*/train/*.tar") == [tmp_path / name / "train/s0-0000.tar" for name in ("a", "b")]


def test_a_pattern_without_shards_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file fits .* ingest"):
        list_shards(f"{tmp_path}/*.tar")


# The library leaves closing the file to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_webdataset_library_reads_the_same(tmp_path: Path) -> None:
    (path,) = write_shards(tmp_path, [3])
    read = list(webdataset.WebDataset(str(path), shardshuffle=False).decode())

    assert [sample["__key__"] for sample in read] == [numbered_slice(number).key for number in range(3)]
    for number, sample in enumerate(read):
        np.testing.assert_array_equal(sample["npy.gz"], numbered_slice(number).pixels)
        assert sample["json"]["spacing_mm"] == [0.5, 0.75]


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    (path,) = write_shards(tmp_path, [3])
    index = index_shard(path)
    content = bytearray(path.read_bytes())
    content[index.members[1, 0] + index.members[1, 1] // 2] ^= 0x10
    path.write_bytes(content)

    with pytest.raises(DamagedShardError, match="s0-0000.tar, slice 1"):
        read_slice(index, 1)
    assert number_of(read_slice(index, 2)) == 2


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7])
def test_a_shard_that_is_cut_short_is_noticed(tmp_path: Path, kept: float) -> None:
    (path,) = write_shards(tmp_path, [20])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(DamagedShardError, match="s0-0000.tar: ends after"):
        index_shard(path)


def test_what_is_no_shard_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(json.dumps({"no": "tar"}).encode() * 100)
    with pytest.raises(DamagedShardError, match="expected a tar header at byte 0"):
        index_shard(path)
