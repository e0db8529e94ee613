"""Heads that tell classes from one vector for the series."""

from dataclasses import dataclass
from typing import Literal

from operators.domain.finding import Finding
from operators.heads.classes import ClassRecord, unanswered
from operators.heads.head import SeriesFeatures
from operators.heads.labels import Label
from operators.heads.pooled import PooledHead, PooledRecord


class PooledClassRecord(ClassRecord, PooledRecord):
    """Common to these heads."""

    task: Literal["classification"]


@dataclass(frozen=True, slots=True, eq=False)
class PooledClassHead(PooledHead):
    """What these heads share.

    labels : of the outputs, in their order
    """

    record: PooledClassRecord
    labels: tuple[Label, ...]

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        return unanswered(self.record, self.labels, series, reason)
