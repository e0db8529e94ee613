"""Fixtures of the integration tests; what they are made of is in running_site.py."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.fault_table import print_fault_table
from integration.running_site import FAST, Site, build_study, running_site
from integration.undisturbed import Undisturbed, undisturbed_pipeline

MakeStudy = Callable[[str], tuple[str, list[Path]]]


@pytest.fixture(scope="module")
def make_study(tmp_path_factory: pytest.TempPathFactory) -> MakeStudy:
    """Makes a study of the given name: its Study Instance UID and its files."""
    return lambda name: build_study(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def undisturbed() -> Iterator[Undisturbed]:
    """What results have to be."""
    with undisturbed_pipeline() as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Orthanc with the service that its plugin started and a pipeline that is warm."""
    with running_site(tmp_path_factory.mktemp("site"), service=FAST) as running:
        running.wait_for_pipeline()
        yield running


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long rows of the fault matrix to ``make faults``."""
    if config.getoption("--all-faults"):
        return
    long_rows = [item for item in items if (mark := item.get_closest_marker("fault")) and not mark.kwargs.get("short")]
    config.hook.pytest_deselected(items=long_rows)
    items[:] = [item for item in items if item not in long_rows]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Hand the row's words on to the report, from which the table is printed."""
    mark = item.get_closest_marker("fault")
    if mark is not None and not item.user_properties:
        what, when = mark.args
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        item.user_properties.append(("fault", (what, when.format(**parameters))))
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--all-faults"):
        print_fault_table(terminalreporter)
