"""Work spread over processes, here or on a cluster, by Ray."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ray

from trainer.benchmark.command import Work


class RayPool:
    """Does work wherever Ray has a free core; each item leaves a file, so the cluster's machines share the folders."""

    def run(self, work: Sequence[Work], done: Callable[[int, str | None], None]) -> None:
        places = {_do.remote(item): place for place, item in enumerate(work)}
        waiting = list(places)
        while waiting:
            ended, waiting = ray.wait(waiting)
            for reference in ended:
                # Raises here what the work raised there.
                done(places[reference], ray.get(reference))


@contextmanager
def ray_pool(address: str | None, *, workers: int) -> Iterator[RayPool]:
    """Processes of this machine, or of the cluster at *address*, until the block ends.

    workers : processes; of a cluster Ray decides itself
    """
    # Ray reports its use to its makers unless told not to; a hospital's machine reports to nobody.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    here = {"num_cpus": workers, "include_dashboard": False} if address is None else {}
    ray.init(address=address, log_to_driver=False, configure_logging=False, **here)
    try:
        yield RayPool()
    finally:
        ray.shutdown()


@ray.remote(num_cpus=1, max_retries=2)  # type: ignore[untyped-decorator]
def _do(item: Work) -> str | None:
    return item.do()
