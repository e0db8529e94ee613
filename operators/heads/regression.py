"""A number for the series: a linear map of one vector."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from operators.domain.finding import Finding
from operators.heads.head import HeadAnswer, HeadFolder, SeriesFeatures
from operators.heads.linear import Linear, read_linear
from operators.heads.pooled import PooledHead, PooledRecord
from operators.heads.values import ValueRecord, measurement_of, unanswered_value


class RegressionRecord(ValueRecord, PooledRecord):
    task: Literal["regression"]
    kind: Literal["linear"]


@dataclass(frozen=True, slots=True, eq=False)
class RegressionHead(PooledHead):
    record: RegressionRecord
    linear: Linear

    def answer(self, vector: Tensor, series: SeriesFeatures) -> HeadAnswer:
        (value,) = self.linear.on(series.device)(vector).tolist()
        return HeadAnswer(measurements=(measurement_of(self.record, series, value),))

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        return unanswered_value(self.record, series, reason)


def read_head(folder: HeadFolder) -> RegressionHead:
    record = folder.record(RegressionRecord)
    linear = read_linear(folder.path, num_outputs=1, num_features=len(record.inputs) * folder.width)
    return RegressionHead(record, folder.algorithm(record), linear)
