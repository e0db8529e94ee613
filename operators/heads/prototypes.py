"""A few examples of each class and no training: the class whose examples' mean points most nearly the same way.

Snell et al., "Prototypical networks for few-shot learning" (2017), with cosines: the score of a class is *scale* times
the cosine between the series' vector and the mean of the class's unit vectors.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from operators.domain.finding import Algorithm, Finding
from operators.errors import CheckpointError
from operators.heads.classes import ClassRecord, check_outputs, exclusive_findings, unanswered
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels
from operators.heads.linear import WEIGHTS, first_length, read_weights
from operators.heads.pooled import Inputs, SeriesMean, needs_of


class PrototypesRecord(ClassRecord):
    """inputs : what the series' vector is made of
    scale : of the cosines; a larger one makes the head surer
    """

    task: Literal["classification"]
    kind: Literal["prototypes"]
    inputs: Inputs = Field(min_length=1)
    scale: float = Field(10.0, gt=0)


@dataclass(frozen=True, slots=True, eq=False)
class PrototypesHead:
    """prototypes : (C, F) unit vectors"""

    record: PrototypesRecord
    labels: tuple[Label, ...]
    prototypes: NDArray[np.float32]
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
    head: PrototypesHead
    series: SeriesFeatures
    mean: SeriesMean

    def take(self, block: FeatureBlock) -> None:
        self.mean.take(block)

    def answer(self) -> HeadAnswer:
        head = self.head
        vector = torch.nn.functional.normalize(self.mean.vector(), dim=0)
        cosines = torch.from_numpy(head.prototypes).to(vector.device) @ vector
        logits = head.record.scale * cosines.cpu().numpy()
        return HeadAnswer(findings=exclusive_findings(head.record, head.labels, logits, self.series))


def class_prototypes(
    examples: NDArray[np.floating], classes: NDArray[np.integer], num_classes: int
) -> NDArray[np.float32]:
    """(C, F) unit vectors: the mean of each class's unit vectors.

    examples : (K, F); classes : (K,) in 0 .. C - 1, each with an example
    """
    unit = examples / np.linalg.norm(examples, axis=1, keepdims=True)
    means = np.stack([unit[classes == number].mean(axis=0) for number in range(num_classes)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def read_head(folder: HeadFolder) -> PrototypesHead:
    record, labels = folder.record(PrototypesRecord), read_labels(folder.path)
    check_outputs(record, labels)
    place, count = f"{folder.path.name}/{WEIGHTS}", first_length(folder.path, "examples")
    width = len(record.inputs) * folder.width
    tensors = read_weights(folder.path, {"examples": (count, width), "classes": (count,)})
    classes = tensors["classes"].astype(np.int64)
    if set(classes) != set(range(len(labels))):
        raise CheckpointError(f"{place}: classes: expected examples of each of {len(labels)} labels and of no other")
    if not (np.linalg.norm(tensors["examples"], axis=1) > 0).all():
        raise CheckpointError(f"{place}: examples: one of them is all zeros, which points nowhere")
    prototypes = class_prototypes(tensors["examples"], classes, len(labels))
    return PrototypesHead(record, labels, prototypes, folder.algorithm(record))
