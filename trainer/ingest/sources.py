"""The folders below the input trees, one after another; a folder's own files are the unit of the work."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with its own files, those of folders below it left out.

    files : name and size in bytes, sorted by name
    is_closed : we may not look into it
    """

    path: Path
    files: tuple[tuple[str, int], ...]
    is_closed: bool = False

    @property
    def num_bytes(self) -> int:
        return sum(size for _, size in self.files)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.path / name for name, _ in self.files)

    @property
    def words(self) -> tuple[str, ...]:
        """What tells this folder, with these files in it, from any other."""
        return (str(self.path), *(f"{name} {size}" for name, size in self.files))


def walk(trees: Iterable[Path]) -> Iterator[Folder]:
    """Every folder that holds files, in the order of their names; nothing is remembered but the way down.

    Raises
    ------
    ValueError
        When a tree is no folder.
    """
    for tree in trees:
        if not tree.is_dir():
            raise ValueError(f"input: expected a folder, {tree} is none")
        yield from _below(tree.resolve())


def in_batches(folders: Iterable[Folder], num_bytes: int) -> Iterator[tuple[Folder, ...]]:
    """Neighbouring folders, until they hold *num_bytes* together."""
    batch: list[Folder] = []
    size = 0
    for folder in folders:
        batch.append(folder)
        size += folder.num_bytes
        if size >= num_bytes:
            yield tuple(batch)
            batch, size = [], 0
    if batch:
        yield tuple(batch)


def _below(path: Path) -> Iterator[Folder]:
    try:
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except PermissionError:
        yield Folder(path, (), is_closed=True)
        return
    # Links to folders are not followed: they may lead in circles.
    folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    files = tuple((entry.name, entry.stat().st_size) for entry in entries if entry.is_file())
    del entries
    if files:
        yield Folder(path, files)
    for name in folders:
        yield from _below(path / name)
