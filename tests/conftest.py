import pytest

from operators.imaging.array_module import CPU, select_array_module


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-cases", type=int, default=300, help="damaged studies to read")
    parser.addoption("--fuzz-seed", type=int, default=1, help="another seed damages them differently")
    parser.addoption("--engine", help="podman or docker, which has the MAP's image: its tests run in that")
    parser.addoption("--all-faults", action="store_true", help="every row of the fault matrix, and its table")


# First, because the processes' own hook reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # Two processes share the files of tests; what starts an Orthanc stays in one, so that one at a time runs.
        item.add_marker(
            pytest.mark.xdist_group("orthanc" if item.get_closest_marker("integration") else item.path.name)
        )
    if select_array_module("auto") is CPU:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
