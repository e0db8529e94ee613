"""What the outputs of a head stand for: labels.toml."""

from pathlib import Path
from typing import Self

from pydantic import Field, TypeAdapter, model_validator

from operators.domain.concepts import Code
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
