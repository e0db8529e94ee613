"""Grades: one score for the series, cut at rising thresholds (the proportional odds of McCullagh, 1980).

P(grade > k) = 1 / (1 + exp(-(w x + b_k))), with b_1 >= b_2 >= ...; a grade's probability is the difference of two
neighbours.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit

from operators.domain.finding import Algorithm, Finding
from operators.errors import CheckpointError
from operators.heads.classes import ClassRecord, check_outputs, class_findings, unanswered
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels
from operators.heads.linear import WEIGHTS, Linear, read_weights
from operators.heads.pooled import Inputs, SeriesMean, needs_of


class OrdinalRecord(ClassRecord):
    """inputs : what the series' vector is made of; labels.toml names the grades from the lowest to the highest"""

    task: Literal["classification"]
    kind: Literal["ordinal"]
    inputs: Inputs = Field(min_length=1)


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalHead:
    """linear : (1, F) weights, and one bias for each step between two grades"""

    record: OrdinalRecord
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
    head: OrdinalHead
    series: SeriesFeatures
    mean: SeriesMean

    def take(self, block: FeatureBlock) -> None:
        self.mean.take(block)

    def answer(self) -> HeadAnswer:
        head, record = self.head, self.head.record
        steps = head.linear.on(self.series.device)(self.mean.vector()).cpu().numpy() / record.temperature
        findings = class_findings(record, head.labels, grade_probabilities(steps), self.series, only_likeliest=True)
        return HeadAnswer(findings=findings)


def grade_probabilities(steps: NDArray[np.floating]) -> NDArray[np.float64]:
    """(K - 1,) falling log odds of lying above each step to (K,) probabilities of the grades."""
    above = np.concatenate([[1.0], expit(np.asarray(steps, np.float64)), [0.0]])
    return np.asarray(above[:-1] - above[1:], np.float64)


def read_head(folder: HeadFolder) -> OrdinalHead:
    record, labels = folder.record(OrdinalRecord), read_labels(folder.path)
    check_outputs(record, labels)
    width = len(record.inputs) * folder.width
    tensors = read_weights(folder.path, {"weight": (1, width), "bias": (len(labels) - 1,)})
    if (np.diff(tensors["bias"]) > 0).any():
        raise CheckpointError(f"{folder.path.name}/{WEIGHTS}: bias: expected none larger than the one before")
    return OrdinalHead(record, labels, Linear(tensors["weight"], tensors["bias"]), folder.algorithm(record))
