"""Fixtures of the integration tests; what they are made of is in running_site.py."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.running_site import FAST, Site, build_study, running_site

MakeStudy = Callable[[str], tuple[str, list[Path]]]


@pytest.fixture(scope="module")
def make_study(tmp_path_factory: pytest.TempPathFactory) -> MakeStudy:
    """Makes a study of the given name: its Study Instance UID and its files."""
    return lambda name: build_study(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Orthanc with the service that its plugin started and a pipeline that is warm."""
    with running_site(tmp_path_factory.mktemp("site"), service=FAST) as running:
        running.wait_for_pipeline()
        yield running
