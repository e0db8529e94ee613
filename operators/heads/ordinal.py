"""Grades: one score for the series, cut at rising thresholds (the proportional odds of McCullagh, 1980).

P(grade > k) = 1 / (1 + exp(-(w x + b_k))), with b_1 >= b_2 >= ...; a grade's probability is the difference of two
neighbours.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from operators.errors import CheckpointError
from operators.heads.classes import check_outputs, class_findings
from operators.heads.contributions import Contributions
from operators.heads.head import HeadAnswer, HeadFolder, SeriesFeatures
from operators.heads.labels import read_labels
from operators.heads.linear import WEIGHTS, Linear, read_weights
from operators.heads.pooled_classes import PooledClassHead, PooledClassRecord
from operators.heads.shown import shown


class OrdinalRecord(PooledClassRecord):
    """labels.toml names the grades from the lowest to the highest."""

    kind: Literal["ordinal"]


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalHead(PooledClassHead):
    """A head of grades.

    linear : (1, F) weights, and one bias for each step between two grades
    """

    record: OrdinalRecord
    linear: Linear

    def answer(self, vector: Tensor, series: SeriesFeatures) -> HeadAnswer:
        steps = self.linear.on(series.device)(vector).cpu().numpy() / self.record.temperature
        probabilities = grade_probabilities(steps)
        findings = class_findings(self.record, self.labels, probabilities, series, only_likeliest=True)
        # The lowest grade is the absence of the others and lies nowhere.
        answer = shown(self.record, self.labels[1:], findings[1:], series, partial(self.contributions, series))
        return replace(answer, findings=findings)

    def contributions(self, series: SeriesFeatures, number: int) -> Contributions:
        """Contributions to the log odds of lying above step *number*."""
        linear = self.linear.on(series.device)
        return self.linear_contributions(series, linear.weight[0], float(linear.bias[number]))


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
    return OrdinalHead(record, folder.algorithm(record), labels, Linear(tensors["weight"], tensors["bias"]))
