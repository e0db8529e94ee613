"""results.json, the contract: one row for each figure."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from operators.documents import write_whole
from trainer.benchmark.task import Track

RESULTS = "results.json"


class ResultRow(BaseModel):
    """A figure of one model at one task.

    low, high : of the 95 % interval, by bootstrap over patients
    n_patients, n_test : of how many patients and examples it is
    seconds : that features and protocol took, also where an earlier run spent them
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    track: Track
    task: str
    model: str
    protocol: str
    metric: str
    value: float
    low: float
    high: float
    n_patients: int = Field(gt=0)
    n_test: int = Field(gt=0)
    seconds: float = Field(ge=0)


class Comparison(BaseModel):
    """The first model against another at one task, by its main figure.

    difference : first minus other, low and high as for a figure
    p_value : two-sided, see `paired_p_value`; adjusted by Holm over all comparisons of the report
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    track: Track
    task: str
    protocol: str
    metric: str
    model: str
    other: str
    difference: float
    low: float
    high: float
    p_value: float
    p_adjusted: float


def write_rows(rows: Sequence[BaseModel], path: Path) -> None:
    """Write the rows as a JSON list, whole or not at all."""
    write_whole(path, json.dumps([row.model_dump(mode="json") for row in rows], indent=1) + "\n")


def read_rows(path: Path) -> list[ResultRow]:
    """Rows of a results.json, checked."""
    return [ResultRow.model_validate(row) for row in json.loads(path.read_text(encoding="utf-8"))]
