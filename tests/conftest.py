import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from operators.imaging.array_module import CPU, select_array_module


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-cases", type=int, default=300, help="damaged studies to read")
    parser.addoption("--fuzz-seed", type=int, default=1, help="another seed damages them differently")
    parser.addoption("--engine", help="podman or docker, which has the MAP's image: its tests run in that")
    parser.addoption("--all-faults", action="store_true", help="every row of the fault matrix, and its table")


class OneOrthancAtATime(LoadFileScheduling):
    """The processes share the files of tests; what starts an Orthanc stays in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "orthanc" if "/integration/" in file else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneOrthancAtATime:
    return OneOrthancAtATime(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if select_array_module("auto") is CPU:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
