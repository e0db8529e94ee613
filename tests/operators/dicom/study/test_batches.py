import threading

import pytest

from operators.dicom.study.batches import map_in_batches


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_results_come_in_the_order_of_the_items(count: int):
    assert list(map_in_batches(lambda number: number**2, range(count))) == [number**2 for number in range(count)]


def test_batches_run_beside_one_another():
    both = threading.Barrier(2, timeout=20)
    list(map_in_batches(lambda number: both.wait() if number % 8 == 0 else None, range(16), num_threads=2))


def test_what_a_job_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(map_in_batches(lambda number: 1 / (5 - number), range(10)))
