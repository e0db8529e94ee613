"""One patient's files that are read together, and how they are laid out for ``python -m trainer ingest``."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stack:
    """Files of one patient that are read together."""

    patient: str
    name: str
    files: tuple[Path, ...]


def link_stacks(stacks: Iterable[Stack], tree: Path) -> None:
    """Make links to the stacks' files as ``tree/PATIENT/NAME/PARENT-FILE``; links that are there are made anew.

    A file keeps the name of its folder, since files of two folders may bear one name.
    """
    for stack in stacks:
        folder = tree / stack.patient / stack.name
        folder.mkdir(parents=True, exist_ok=True)
        for file in stack.files:
            link = folder / f"{file.parent.name}-{file.name}"
            link.unlink(missing_ok=True)
            link.symlink_to(file.resolve())
