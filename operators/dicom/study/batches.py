"""Many small jobs on a few threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_BATCH = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_batches(
    function: Callable[[Item], Result], items: Sequence[Item], *, num_threads: int | None = None
) -> Iterator[Result]:
    """The function's results in the order of the items.

    A job of its own for every file costs more than reading a header: threads wake one another and Python's lock
    changes hands.
    """
    remaining = iter(items)
    batches = list(iter(lambda: list(islice(remaining, _BATCH)), []))
    with ThreadPoolExecutor(num_threads) as pool:
        for results in pool.map(lambda batch: [function(item) for item in batch], batches):
            yield from results
