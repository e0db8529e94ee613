import logging
from pathlib import Path

import pytest

from shard_cases import number_of, write_shards
from trainer.pretraining import shard_data
from trainer.pretraining.shard_data import read_probed


def test_the_probes_slices_are_from_all_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shards(tmp_path, [10] * 6)
    monkeypatch.setattr(shard_data, "PROBED_SHARDS", 3)
    monkeypatch.setattr(shard_data, "PROBED_SLICES", 6)
    assert [number_of(sample) for sample in read_probed(f"{tmp_path}/train/*.tar")] == [0, 5, 20, 25, 40, 45]


def test_few_slices_are_all_probed_and_no_shards_are_none(tmp_path: Path) -> None:
    write_shards(tmp_path, [3, 2])
    assert [number_of(sample) for sample in read_probed(f"{tmp_path}/train/*.tar")] == [0, 1, 2, 3, 4]
    assert list(read_probed(f"{tmp_path}/validation/*.tar")) == []


def test_a_damaged_shard_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, damaged = write_shards(tmp_path, [3, 2])
    damaged.write_bytes(damaged.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        assert len(list(read_probed(f"{tmp_path}/train/*.tar"))) == 3
    assert f"shard {damaged.name}" in caplog.text
    assert whole.name not in caplog.text
