"""A linear map of one vector for the series: many findings, each a yes or no of its own, or classes of which one is."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor

from operators.heads.classes import check_outputs, exclusive_findings, independent_findings
from operators.heads.contributions import Contributions
from operators.heads.head import HeadAnswer, HeadFolder, SeriesFeatures
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
        """Contributions to the logit of output *number*."""
        linear = self.linear.on(series.device)
        return self.linear_contributions(series, linear.weight[number], float(linear.bias[number]))


def read_head(folder: HeadFolder) -> MultiLabelHead:
    record, labels = folder.record(MultiLabelRecord), read_labels(folder.path)
    check_outputs(record, labels)
    width = len(record.inputs) * folder.width
    linear = read_linear(folder.path, num_outputs=len(labels), num_features=width)
    return MultiLabelHead(record, folder.algorithm(record), labels, linear)
