"""A head's TOML files as checked records."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from operators.documents import first_problem
from operators.errors import CheckpointError

Checked = TypeVar("Checked")


class Record(BaseModel):
    """A table of a TOML file; a key that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_toml(path: Path, adapter: TypeAdapter[Checked]) -> Checked:
    """A TOML file as a checked record.

    Raises
    ------
    CheckpointError
        Names the file and the first field that is wrong.
    """
    return checked(read_table(path), adapter, path)


def read_table(path: Path) -> dict[str, object]:
    """A TOML file as it is.

    Raises
    ------
    CheckpointError
        It is missing, or no TOML.
    """
    if not path.is_file():
        raise CheckpointError(f"{_place(path)}: not found; the model folder is incomplete")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{_place(path)}: not valid TOML ({error})") from error


def checked(table: object, adapter: TypeAdapter[Checked], path: Path) -> Checked:
    """What was read from *path* as a record; errors as `read_toml` raises them."""
    try:
        return adapter.validate_python(table)
    except ValidationError as error:
        raise CheckpointError(f"{_place(path)}: {first_problem(error)}") from error


def _place(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
