import pytest

from operators.imaging.array_module import CPU, select_array_module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if select_array_module("auto") is CPU:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
