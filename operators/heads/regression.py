"""A number for the series: a linear map of one vector."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from operators.domain.finding import Algorithm, Finding
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, Needs, SeriesFeatures
from operators.heads.linear import Linear, read_linear
from operators.heads.pooled import Inputs, SeriesMean, needs_of
from operators.heads.values import ValueRecord, measurement_of, unanswered_value


class RegressionRecord(ValueRecord):
    """inputs : what the series' vector is made of"""

    task: Literal["regression"]
    kind: Literal["linear"]
    inputs: Inputs = Field(min_length=1)


@dataclass(frozen=True, slots=True, eq=False)
class RegressionHead:
    record: RegressionRecord
    linear: Linear
    algorithm: Algorithm

    @property
    def needs(self) -> Needs:
        return needs_of(self.record.inputs)

    def begin(self, series: SeriesFeatures) -> "_Reading":
        return _Reading(self, series, SeriesMean(self.record.inputs))

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        return unanswered_value(self.record, series, reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: RegressionHead
    series: SeriesFeatures
    mean: SeriesMean

    def take(self, block: FeatureBlock) -> None:
        self.mean.take(block)

    def answer(self) -> HeadAnswer:
        (value,) = self.head.linear.on(self.series.device)(self.mean.vector()).tolist()
        return HeadAnswer(measurements=(measurement_of(self.head.record, self.series, value),))


def read_head(folder: HeadFolder) -> RegressionHead:
    record = folder.record(RegressionRecord)
    linear = read_linear(folder.path, num_outputs=1, num_features=len(record.inputs) * folder.width)
    return RegressionHead(record, linear, folder.algorithm(record))
