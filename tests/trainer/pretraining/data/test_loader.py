import json
import logging
from itertools import islice
from pathlib import Path
from threading import Event

import pytest

from shard_cases import number_of, write_shards
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data import loader
from trainer.pretraining.data.loader import LoaderState, iterate_batches
from trainer.pretraining.data.sample_order import Place
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.data.shards import DamagedShardError, ShardIndex, index_shard

SIZES = [7, 5, 9, 4, 6]
TOTAL = sum(SIZES)


def _config(folder: Path, **data: object) -> PretrainingConfig:
    settings = {"shards": f"{folder}/train/*.tar", "workers": 2, "batch_size": 4, "shuffle_shards": 2, **data}
    return PretrainingConfig.model_validate({"data": settings})


def _numbers(
    config: PretrainingConfig, num_batches: int, state: LoaderState, rank: int = 0, world: int = 1
) -> list[int]:
    batches = islice(iterate_batches(config, rank, world, state), num_batches)
    return [number_of(sample) for batch in batches for sample in batch]


def _flip_pixel_byte(path: Path, number: int) -> None:
    content = bytearray(path.read_bytes())
    offset, size, *_ = index_shard(path).members[number]
    content[offset + size // 2] ^= 0x10
    path.write_bytes(content)


def test_an_epoch_holds_every_slice_once_and_the_next_one_again(tmp_path: Path) -> None:
    write_shards(tmp_path, SIZES)
    read = _numbers(_config(tmp_path, batch_size=TOTAL), 2, LoaderState())

    assert sorted(read[:TOTAL]) == sorted(read[TOTAL:]) == list(range(TOTAL))
    assert read[:TOTAL] != read[TOTAL:] != list(range(TOTAL))


def test_two_processes_share_the_slices(tmp_path: Path) -> None:
    write_shards(tmp_path, [6, 6, 6, 6])
    config = _config(tmp_path)
    read = [_numbers(config, 3, LoaderState(), rank, 2) for rank in range(2)]
    assert sorted(read[0] + read[1]) == list(range(24))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_threads_do_not_change_the_order(tmp_path: Path, workers: int) -> None:
    write_shards(tmp_path, SIZES)
    assert _numbers(_config(tmp_path, workers=workers), 12, LoaderState()) == _numbers(
        _config(tmp_path), 12, LoaderState()
    )


@pytest.mark.parametrize("stopped_after", [1, 3, 8, 11])
def test_a_saved_state_goes_on_with_the_next_slice(tmp_path: Path, stopped_after: int) -> None:
    write_shards(tmp_path, SIZES)
    config, state = _config(tmp_path), LoaderState()
    whole = _numbers(config, 20, LoaderState())

    first = _numbers(config, stopped_after, state)
    restored = LoaderState.from_state_dict(json.loads(json.dumps(state.state_dict())))

    assert first + _numbers(config, 20 - stopped_after, restored) == whole


def test_damage_is_skipped_named_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write_shards(tmp_path, SIZES)
    _flip_pixel_byte(paths[0], 3)
    paths[2].write_bytes(paths[2].read_bytes()[:3000])
    state = LoaderState()

    with caplog.at_level(logging.WARNING):
        # 20 of 31 slices are left, so 15 batches of four see each one three times.
        read = _numbers(_config(tmp_path), 15, state)

    left = [number for number in range(TOTAL) if number != 3 and not 12 <= number < 21]
    assert len(left) == TOTAL - 10
    assert set(read) == set(left)
    assert state.damaged == {"s0-0000.tar, slice 3", "s2-0000.tar"}
    assert sorted(record.message.partition(": ")[0] for record in caplog.records) == [
        "shard s0-0000.tar, slice 3",
        "shard s2-0000.tar",
    ]


def test_resuming_goes_on_exactly_beside_damage(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, SIZES)
    _flip_pixel_byte(paths[1], 1)
    paths[3].write_bytes(b"")
    config, state = _config(tmp_path), LoaderState()
    whole = _numbers(config, 12, LoaderState())
    assert _numbers(config, 5, state) + _numbers(config, 7, state) == whole


def test_more_damage_than_allowed_ends_the_run(tmp_path: Path) -> None:
    for path in write_shards(tmp_path, SIZES)[:3]:
        path.write_bytes(b"")
    with pytest.raises(DamagedShardError, match="3 are damaged, data.max_damaged is 2"):
        _numbers(_config(tmp_path, max_damaged=2), 10, LoaderState())


def test_a_set_in_which_nothing_is_readable_ends_the_run(tmp_path: Path) -> None:
    (path,) = write_shards(tmp_path, [2])
    _flip_pixel_byte(path, 0)
    _flip_pixel_byte(path, 1)
    with pytest.raises(DamagedShardError, match="2 are damaged, data.max_damaged is 5"):
        _numbers(_config(tmp_path, max_damaged=5), 1, LoaderState())


def test_the_wait_for_data_is_counted(tmp_path: Path) -> None:
    write_shards(tmp_path, SIZES)
    state = LoaderState()
    _numbers(_config(tmp_path), 2, state)
    assert 0 < state.wait_seconds < 60


def test_decoding_may_be_closed_by_one_of_its_own_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the garbage collector does, in whichever thread it happens to run."""
    write_shards(tmp_path, SIZES)
    shard = index_shard(next((tmp_path / "train").glob("*.tar")))
    decoding = loader._decoding(iter([(Place(), shard, 0)]), workers=1, ahead=1)
    waits, read_slice = Event(), loader.read_slice

    def read_and_close(index: ShardIndex, number: int) -> SliceSample:
        assert waits.wait(60)
        decoding.close()  # type: ignore[attr-defined]
        return read_slice(index, number)

    monkeypatch.setattr(loader, "read_slice", read_and_close)
    _, result = next(decoding)
    waits.set()
    assert number_of(result()) >= 0
