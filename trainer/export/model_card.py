"""A model folder told to people: one page in Markdown of what stands in its TOML files, and nothing else."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from operators.documents import file_sha256
from operators.encoder.snapshot import WEIGHTS
from operators.model.model_folder import MODEL_FILE

CARD = "card.md"
MEASURED = "measured"
SAID_FIRST = {"name", "version", "demonstration", "licence", "intended_use"}
OF_A_HEAD = ("task", "kind", "modality", "body_region", "threshold", "operating_point", "data")
"""Keys of head.toml that a reader of the card needs first; measured figures follow in a table of their own."""


def model_card(folder: Path) -> str:
    """The card of a model folder; a bare snapshot has none.

    Raises
    ------
    FileNotFoundError
        The folder has no model.toml.
    """
    model = tomllib.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
    lines = [f"# Model card: {model['name']} {model['version']}", "", f"**{model['intended_use']}**", ""]
    if model["demonstration"]:
        lines += ["This model is a demonstration: it shows that the chain works, not what a finding is.", ""]
    lines += [f"Licence: {model['licence']}", ""]
    # A sharded encoder has several files; SHA256SUMS names them all.
    if (weights := folder / "encoder" / WEIGHTS).exists():
        lines += [f"Encoder: SHA-256 `{file_sha256(weights)}`", ""]
    others = {key: value for key, value in model.items() if key not in SAID_FIRST}
    lines += _sections("##", others)
    for head in sorted((folder / "heads").glob("*")):
        lines += _head(head)
    return "\n".join(lines).rstrip() + "\n"


def write_card(folder: Path) -> None:
    """The card as a file of the folder, for who looks at it without our programs."""
    (folder / CARD).write_text(model_card(folder), encoding="utf-8")


def _head(folder: Path) -> Iterator[str]:
    yield from (f"## Head: {folder.name}", "")
    if not (folder / "head.toml").exists():
        yield from ("A published head, as it is; its publisher's card holds.", "")
        return
    head = tomllib.loads((folder / "head.toml").read_text(encoding="utf-8"))
    yield from _table({key: head[key] for key in OF_A_HEAD if key in head})
    if (folder / "labels.toml").exists():
        labels = tomllib.loads((folder / "labels.toml").read_text(encoding="utf-8"))["label"]
        yield from (f"Answers: {', '.join(label['name'] for label in labels)}.", "")
    if MEASURED in head:
        yield from _section("###", MEASURED, head[MEASURED])


def _sections(mark: str, tables: Mapping[str, Any]) -> Iterator[str]:
    for key, value in tables.items():
        yield from _section(mark, key, value)


def _section(mark: str, key: str, value: object) -> Iterator[str]:
    """A heading, the plain values below it as a table, inner tables as sections of their own."""
    yield from (f"{mark} {key.replace('_', ' ').replace('-', ' ').capitalize()}", "")
    if isinstance(value, list):
        yield from (*(f"- {_text(item)}" for item in value), "")
    elif isinstance(value, Mapping):
        yield from _table({name: item for name, item in value.items() if not isinstance(item, Mapping)})
        yield from _sections(f"{mark}#", {name: item for name, item in value.items() if isinstance(item, Mapping)})
    else:
        yield from (_text(value), "")


def _table(values: Mapping[str, object]) -> Iterator[str]:
    if values:
        yield from ("| | |", "| --- | --- |")
        yield from (f"| {name.replace('_', ' ')} | {_text(value)} |" for name, value in values.items())
        yield ""


def _text(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace("|", "\\|")
