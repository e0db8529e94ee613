"""Files and what is checked in them: digests, files that are whole or not there, and what is wrong in one sentence."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

UNFINISHED = ".part"
"""How the name of a file or folder ends that is still being written."""


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing_sha256(digests: Mapping[str, str]) -> str:
    """Hex SHA-256 of the listing that ``sha256sum`` would print of files with these names and digests."""
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file that is to appear under *path* at once, when the block ends, or not at all.

    What was written is on the disk before it gets its name, so that a power cut leaves no empty file behind. Several
    processes may write the same path; the last one's stays.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        yield unfinished
        sync_to_disk(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_to_disk(path.parent)


def write_whole(path: Path, content: str) -> None:
    """Write a text file as `whole_file` does."""
    with whole_file(path) as unfinished:
        unfinished.write_text(content, encoding="utf-8")


def sync_to_disk(path: Path) -> None:
    """See a file's content, or a folder's names, onto the disk, so that a power cut takes none of it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def first_problem(error: ValidationError, place: Callable[[tuple[int | str, ...]], str] | None = None) -> str:
    """What is wrong with a document, in one sentence: where, what was expected, what came.

    place : names a place in the document; as a rule the keys with dots between them
    """
    problem = error.errors(include_url=False)[0]
    where = place(problem["loc"]) if place else ".".join(str(part) for part in problem["loc"])
    message, given = problem["msg"].removeprefix("Value error, "), problem["input"]
    got = "" if isinstance(given, dict) or problem["type"] == "missing" else f", got {given!r}"
    return f"{where or 'file'}: {message}{got}"
