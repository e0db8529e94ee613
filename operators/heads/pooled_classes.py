"""Heads that tell classes from one vector for the series."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from operators.domain.finding import Finding
from operators.heads.classes import ClassRecord, unanswered
from operators.heads.contributions import Contributions, contributions_of
from operators.heads.head import FeatureBlock, SeriesFeatures
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

    def linear_contributions(self, series: SeriesFeatures, weight: Tensor, bias: float) -> Contributions:
        """Contributions to ``weight @ vector + bias``: of a mean, each slice and each token give their part.

        weight : (F,)
        """
        slices, rows, columns = series.features.geometry.shape
        weights = dict(zip(self.record.inputs, weight.chunk(len(self.record.inputs)), strict=True))

        def multiplied(block: FeatureBlock) -> tuple[Tensor, Tensor]:
            of_cls, of_tokens = torch.zeros(len(block.cls)), torch.zeros(len(block.cls), rows * columns)
            if "cls" in weights:
                of_cls = block.cls @ weights["cls"] / slices
            if "mean-token" in weights and block.tokens is not None:
                of_tokens = block.tokens @ weights["mean-token"] / (slices * rows * columns)
            return of_cls, of_tokens

        return contributions_of(series, self.needs, multiplied, rest=bias)
