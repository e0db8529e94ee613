"""What the outputs of a head stand for: labels.toml."""

import hashlib
from pathlib import Path
from typing import Self

from pydantic import Field, TypeAdapter, model_validator

from operators.domain.concepts import OWN_SCHEME, Code
from operators.errors import CheckpointError
from operators.heads.records import Record, read_toml

FILE_NAME = "labels.toml"


class Label(Record):
    """One output of a head.

    code : the concept that the output stands for
    category : for outputs that become segments (PS3.3 C.8.20.4, Segmented Property Category)
    site, laterality : where a finding sits, and on which side of the body (CID 244)
    """

    name: str
    code: Code
    category: Code | None = None
    site: Code | None = None
    laterality: Code | None = None

    @model_validator(mode="after")
    def _check_laterality(self) -> Self:
        if self.laterality and not self.site:
            raise ValueError("laterality: expected a site that it is the side of, got none")
        return self


class _Labels(Record):
    label: tuple[Label, ...] = Field(min_length=1)


def read_labels(folder: Path) -> tuple[Label, ...]:
    """The labels of a head's folder, in the order of its outputs.

    Raises
    ------
    CheckpointError
        The file is missing or malformed, or two outputs have one name.
    """
    labels = read_toml(folder / FILE_NAME, TypeAdapter(_Labels)).label
    names = [label.name for label in labels]
    for name in names:
        if names.count(name) > 1:
            raise CheckpointError(f"{folder.name}/{FILE_NAME}: {name!r} names two outputs; each needs its own name")
    return labels


def labels_or_numbers(folder: Path, num_outputs: int) -> tuple[Label, ...]:
    """The labels of a folder that may have none: then they are ``class 0``, ``class 1``, ... with codes of our own.

    Raises
    ------
    CheckpointError
        There are labels, but not one for each output.
    """
    if not (folder / FILE_NAME).is_file():
        names = (f"class {number}" for number in range(num_outputs))
        return tuple(Label(name=name, code=own_code(f"{folder.name}/{name}", name)) for name in names)
    labels = read_labels(folder)
    if len(labels) != num_outputs:
        raise CheckpointError(
            f"{folder.name}/{FILE_NAME}: expected a label for each of the head's {num_outputs} outputs, "
            f"got {len(labels)}; name all of them, in their order"
        )
    return labels


def own_code(key: str, meaning: str) -> Code:
    """A code of our own scheme: the same for the same *key*, within 16 characters; the meaning within 64."""
    return Code(f"H{hashlib.sha256(key.encode()).hexdigest()[:14].upper()}", OWN_SCHEME, meaning[:64])


def segment_labels(labels: tuple[Label, ...], folder: Path) -> tuple[Label, ...]:
    """The labels, each of which has what a segment needs.

    Raises
    ------
    CheckpointError
        One has no category.
    """
    for label in labels:
        if label.category is None:
            raise CheckpointError(f"{folder.name}/{FILE_NAME}: {label.name}: a segment needs a category code")
    return labels
