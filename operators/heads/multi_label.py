"""Many findings in one head: a linear map of one vector for the series, each output a yes or no of its own."""

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from operators.domain.finding import Algorithm, Finding
from operators.heads.classes import ClassRecord, check_outputs, independent_findings, unanswered
from operators.heads.contributions import Contributions, contributions_of
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels
from operators.heads.linear import Linear, read_linear
from operators.heads.pooled import Inputs, SeriesMean, needs_of
from operators.heads.shown import shown


class MultiLabelRecord(ClassRecord):
    """inputs : what the series' vector is made of"""

    task: Literal["classification"]
    kind: Literal["multi-label"]
    inputs: Inputs = Field(min_length=1)


@dataclass(frozen=True, slots=True, eq=False)
class MultiLabelHead:
    record: MultiLabelRecord
    labels: tuple[Label, ...]
    linear: Linear
    algorithm: Algorithm

    @property
    def needs(self) -> Needs:
        return needs_of(self.record.inputs)

    def begin(self, series: SeriesFeatures) -> "_Reading":
        return _Reading(self, series, SeriesMean(self.record.inputs))

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        return unanswered(self.record, self.labels, series, reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: MultiLabelHead
    series: SeriesFeatures
    mean: SeriesMean

    def take(self, block: FeatureBlock) -> None:
        self.mean.take(block)

    def answer(self) -> HeadAnswer:
        head = self.head
        logits = head.linear.on(self.series.device)(self.mean.vector()).cpu().numpy()
        findings = independent_findings(head.record, head.labels, logits, self.series)
        return shown(head.record, head.labels, findings, self.series, self.contributions)

    def contributions(self, number: int) -> Contributions:
        """To the logit of output *number*: of a mean, each slice and each token give their part."""
        slices, rows, columns = self.series.features.geometry.shape
        parts = self.head.linear.on(self.series.device).weight[number].chunk(len(self.head.record.inputs))
        weights = dict(zip(self.head.record.inputs, parts, strict=True))

        def multiplied(block: FeatureBlock) -> tuple[Tensor, Tensor]:
            of_cls, of_tokens = torch.zeros(len(block.cls)), torch.zeros(len(block.cls), rows * columns)
            if "cls" in weights:
                of_cls = block.cls @ weights["cls"] / slices
            if "mean-token" in weights and block.tokens is not None:
                of_tokens = block.tokens @ weights["mean-token"] / (slices * rows * columns)
            return of_cls, of_tokens

        return contributions_of(self.series, self.head.needs, multiplied, rest=float(self.head.linear.bias[number]))


def read_head(folder: HeadFolder) -> MultiLabelHead:
    record, labels = folder.record(MultiLabelRecord), read_labels(folder.path)
    check_outputs(record, labels)
    width = len(record.inputs) * folder.width
    linear = read_linear(folder.path, num_outputs=len(labels), num_features=width)
    return MultiLabelHead(record, labels, linear, folder.algorithm(record))
