"""What a task is asked on: rows of a table, each with images that are read when they are needed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.volume import Volume
from trainer.evaluation.folds import PARTS, Part


class BenchmarkDataError(ValueError):
    """A data set is not what its task expects; the message names data set, column, what was expected and what came."""


class LeakageError(BenchmarkDataError):
    """A patient is on both sides of a split."""


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Rows of a table with images beside it.

    digest : hex SHA-256 of the table and the sizes of its files; part of the features' cache key
    rows : cells by column
    read_image : of a row's column
    read_mask : the same for a mask, its numbers as they are stored
    modality : CT, MR or what else a header says; "" where nothing tells
    """

    name: str
    digest: str
    rows: tuple[Mapping[str, str], ...]
    read_image: Callable[[int, str], Volume]
    read_mask: Callable[[int, str], Volume]
    modality: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.rows[0]) if self.rows else ()

    def check_columns(self, columns: tuple[str, ...]) -> None:
        """Refuse a table that lacks a column.

        Raises
        ------
        BenchmarkDataError
            Naming what is missing and what is there.
        """
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise BenchmarkDataError(
                f"{self.name}: expected the columns {', '.join(missing)}, the table has {', '.join(self.columns)}"
            )

    def part(self, row: int) -> Part | None:
        """The row's part of the published split; None where there is no split.

        Raises
        ------
        BenchmarkDataError
            For another word than train, val or test.
        """
        word = self.rows[row].get("split", "")
        if not word:
            return None
        if word.lower() not in PARTS:
            raise BenchmarkDataError(f"{self.name}: split: expected one of {', '.join(PARTS)}, got {word!r}")
        return PARTS[word.lower()]


def mask_on(image: Volume, mask: Volume, *, name: str) -> NDArray[np.float32]:
    """The mask's numbers on the image's grid.

    Raises
    ------
    BenchmarkDataError
        When the mask has another shape.
    """
    if mask.array.shape != image.array.shape:
        raise BenchmarkDataError(
            f"{name}: expected a mask of the image's shape {image.array.shape}, got {mask.array.shape}"
        )
    return np.asarray(mask.array, np.float32)
