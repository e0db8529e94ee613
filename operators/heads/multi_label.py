"""A linear map of one vector for the series: many findings, each a yes or no of its own, or classes of which one is."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from operators.heads.classes import check_outputs, exclusive_findings, independent_findings
from operators.heads.contributions import Contributions, contributions_of
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, SeriesFeatures
from operators.heads.labels import read_labels
from operators.heads.linear import Linear, read_linear
from operators.heads.pooled_classes import PooledClassHead, PooledClassRecord
from operators.heads.shown import shown


class MultiLabelRecord(PooledClassRecord):
    """head.toml of a linear map to classes.

    kind : "linear" where the classes exclude one another
    """

    kind: Literal["multi-label", "linear"]


@dataclass(frozen=True, slots=True, eq=False)
class MultiLabelHead(PooledClassHead):
    record: MultiLabelRecord
    linear: Linear

    def answer(self, vector: Tensor, series: SeriesFeatures) -> HeadAnswer:
        logits = self.linear.on(series.device)(vector).cpu().numpy()
        findings = exclusive_findings if self.record.kind == "linear" else independent_findings
        answered = findings(self.record, self.labels, logits, series)
        return shown(self.record, self.labels, answered, series, partial(self.contributions, series))

    def contributions(self, series: SeriesFeatures, number: int) -> Contributions:
        """To the logit of output *number*: of a mean, each slice and each token give their part."""
        slices, rows, columns = series.features.geometry.shape
        parts = self.linear.on(series.device).weight[number].chunk(len(self.record.inputs))
        weights = dict(zip(self.record.inputs, parts, strict=True))

        def multiplied(block: FeatureBlock) -> tuple[Tensor, Tensor]:
            of_cls, of_tokens = torch.zeros(len(block.cls)), torch.zeros(len(block.cls), rows * columns)
            if "cls" in weights:
                of_cls = block.cls @ weights["cls"] / slices
            if "mean-token" in weights and block.tokens is not None:
                of_tokens = block.tokens @ weights["mean-token"] / (slices * rows * columns)
            return of_cls, of_tokens

        return contributions_of(series, self.needs, multiplied, rest=float(self.linear.bias[number]))


def read_head(folder: HeadFolder) -> MultiLabelHead:
    record, labels = folder.record(MultiLabelRecord), read_labels(folder.path)
    check_outputs(record, labels)
    width = len(record.inputs) * folder.width
    linear = read_linear(folder.path, num_outputs=len(labels), num_features=width)
    return MultiLabelHead(record, folder.algorithm(record), labels, linear)
