from itertools import islice, takewhile
from pathlib import Path

import pytest

from trainer.pretraining.data.sample_order import Place, SampleOrder

SHARDS = [Path(f"{number}.tar") for number in range(23)]


def _epoch(rank: int, world: int, *, epoch: int = 0, seed: int = 0) -> list[list[Path]]:
    order = SampleOrder(SHARDS, seed, rank, world, 4)
    windows = takewhile(lambda window: window[0].epoch == epoch, order.windows(Place(epoch)))
    return [paths for _, paths in windows]


@pytest.mark.parametrize("world", [1, 2, 5, 23])
def test_every_shard_is_read_once_an_epoch_by_one_process(world: int) -> None:
    read = [path for rank in range(world) for window in _epoch(rank, world) for path in window]
    assert sorted(read) == sorted(SHARDS)


def test_windows_hold_four_shards_and_the_last_one_the_rest() -> None:
    assert [len(window) for window in _epoch(0, 1)] == [4, 4, 4, 4, 4, 3]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    assert _epoch(0, 1) == _epoch(0, 1)
    assert _epoch(0, 1) != _epoch(0, 1, epoch=1)
    assert _epoch(0, 1) != _epoch(0, 1, seed=1)


def test_windows_go_on_from_any_place() -> None:
    order = SampleOrder(SHARDS, 0, 1, 2, 4)
    whole = list(islice(order.windows(Place()), 9))
    for place, _ in whole:
        assert (
            list(islice(order.windows(place), 2))
            == [
                found
                for found in islice(order.windows(Place()), 12)
                if (found[0].epoch, found[0].window) >= (place.epoch, place.window)
            ][:2]
        )


def test_a_window_is_permuted_differently_in_each_place() -> None:
    order = SampleOrder(SHARDS, 0, 0, 1, 4)
    permutations = [tuple(order.shuffled(place, 50)) for place in (Place(0, 0), Place(0, 1), Place(1, 0))]
    assert len(set(permutations)) == 3
    assert all(sorted(permutation) == list(range(50)) for permutation in permutations)


def test_more_processes_than_shards_are_refused() -> None:
    with pytest.raises(ValueError, match="a shard for each of 24 processes, found 23; .*--shard-mib"):
        SampleOrder(SHARDS, 0, 0, 24, 4)
