"""Heads that answer from one vector for a series: the mean over its slices of CLS, of the mean patch token, or of both
side by side."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from pydantic import Field
from torch import Tensor

from operators.domain.finding import Algorithm
from operators.heads.head import FeatureBlock, HeadAnswer, HeadRecord, Needs, SeriesFeatures
from operators.heads.scope import Input

Inputs = tuple[Input, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SeriesMean:
    """Adds slices up as they come."""

    inputs: Inputs
    sums: list[Tensor] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def take(self, block: FeatureBlock) -> None:
        """Add the block's slices."""
        # Sums of many slices: float64 keeps what float32 would round away, and costs nothing at this size.
        of_slices = torch.cat([_of_slices(block, name) for name in self.inputs], dim=1)
        self.sums.append(of_slices.sum(dim=0, dtype=torch.float64))
        self.counts.append(len(of_slices))

    def vector(self) -> Tensor:
        """(inputs x D,) float32."""
        return (torch.stack(self.sums).sum(dim=0) / sum(self.counts)).float()


class PooledRecord(HeadRecord):
    """Common to these heads.

    inputs : what the series' vector is made of
    """

    inputs: Inputs = Field(min_length=1)


@dataclass(frozen=True, slots=True, eq=False)
class PooledHead(ABC):
    """Common to these heads; what is left to each is the answer to the vector."""

    record: PooledRecord
    algorithm: Algorithm

    @property
    def needs(self) -> Needs:
        return needs_of(self.record.inputs)

    def begin(self, series: SeriesFeatures) -> "_Reading":
        return _Reading(self, series, SeriesMean(self.record.inputs))

    @abstractmethod
    def answer(self, vector: Tensor, series: SeriesFeatures) -> HeadAnswer:
        """The answer to the series' vector, of shape (inputs x D,), on the device that the heads run on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: PooledHead
    series: SeriesFeatures
    mean: SeriesMean

    def take(self, block: FeatureBlock) -> None:
        self.mean.take(block)

    def answer(self) -> HeadAnswer:
        return self.head.answer(self.mean.vector(), self.series)


def needs_of(inputs: Inputs) -> Needs:
    """What such a vector is made of."""
    return Needs(tokens="mean-token" in inputs)


def _of_slices(block: FeatureBlock, name: Input) -> Tensor:
    if name == "cls":
        return block.cls
    assert block.tokens is not None, "needs_of asks for them"
    return block.tokens.mean(dim=1)
