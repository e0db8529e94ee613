"""The exit codes are told at three places and acted on at a fourth; all mean the same."""

import re
from collections.abc import Iterator
from pathlib import Path

from operators import errors
from orthanc_plugin.pipeline import protocol

ROOT = Path(__file__).parents[2]
DONE, USAGE = 0, 2
"""The codes that no error class has."""


def classes(base: type[errors.CuriaError] = errors.CuriaError) -> Iterator[type[errors.CuriaError]]:
    for derived in base.__subclasses__():
        yield derived
        yield from classes(derived)


def told_by(page: str) -> set[int]:
    _, table = (ROOT / page).read_text(encoding="utf-8").split("| exit code |", 1)
    rows = table.split("\n\n", 1)[0]
    return {int(code) for code in re.findall(r"^\| (\d+) \|", rows, re.MULTILINE)}


def test_the_commands_page_tells_every_exit_code():
    assert told_by("docs/command.md") == {DONE, USAGE, *(one.exit_code for one in classes())}


def test_the_tree_in_the_docstring_tells_each_class_with_its_exit_code():
    tree = errors.__doc__ or ""
    names = re.findall(r"── (\w+)", tree)
    assert sorted(names) == sorted(one.__name__ for one in classes())
    told = dict(re.findall(r"── (\w+) .*exit (\d)$", tree, re.MULTILINE))
    for one in classes():
        code = told[one.__name__] if one.__name__ in told else one.__mro__[1].exit_code
        assert one.exit_code == int(code), one.__name__


def test_the_service_acts_on_the_applications_exit_codes():
    assert (protocol.EXIT_DONE, protocol.EXIT_NOT_APPLICABLE, protocol.EXIT_RESOURCE, protocol.EXIT_OUTPUT) == (
        DONE,
        errors.NoMatchingSeriesError.exit_code,
        errors.ResourceError.exit_code,
        errors.OutputError.exit_code,
    )


def test_every_error_has_a_code_of_its_own():
    codes = [one.code for one in classes()]
    assert len(codes) == len(set(codes))
