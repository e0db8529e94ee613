"""Many findings in one head: a linear map of one vector for the series, each output a yes or no of its own."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from operators.domain.finding import Algorithm, Finding
from operators.heads.classes import ClassRecord, check_outputs, independent_findings, unanswered
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels
from operators.heads.linear import Linear, read_linear
from operators.heads.pooled import Inputs, SeriesMean, needs_of


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
        logits = self.head.linear.on(self.series.device)(self.mean.vector()).cpu().numpy()
        return HeadAnswer(findings=independent_findings(self.head.record, self.head.labels, logits, self.series))


def read_head(folder: HeadFolder) -> MultiLabelHead:
    record, labels = folder.record(MultiLabelRecord), read_labels(folder.path)
    check_outputs(record, labels)
    width = len(record.inputs) * folder.width
    linear = read_linear(folder.path, num_outputs=len(labels), num_features=width)
    return MultiLabelHead(record, labels, linear, folder.algorithm(record))
