"""A few examples of each class and no training: the class whose examples' mean points most nearly the same way.

Snell et al., "Prototypical networks for few-shot learning" (2017), with cosines: the score of a class is *scale* times
the cosine between the series' vector and the mean of the class's unit vectors.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from operators.errors import CheckpointError
from operators.heads.classes import check_outputs, exclusive_findings
from operators.heads.contributions import Contributions
from operators.heads.head import HeadAnswer, HeadFolder, SeriesFeatures
from operators.heads.labels import read_labels
from operators.heads.linear import WEIGHTS, first_length, read_weights
from operators.heads.pooled_classes import PooledClassHead, PooledClassRecord
from operators.heads.shown import shown


class PrototypesRecord(PooledClassRecord):
    """head.toml of a head of prototypes.

    scale : of the cosines; a larger one makes the head surer
    """

    kind: Literal["prototypes"]
    scale: float = Field(10.0, gt=0)


@dataclass(frozen=True, slots=True, eq=False)
class PrototypesHead(PooledClassHead):
    """A head of prototypes.

    prototypes : (C, F) unit vectors
    """

    record: PrototypesRecord
    prototypes: NDArray[np.float32]

    def answer(self, vector: Tensor, series: SeriesFeatures) -> HeadAnswer:
        cosines = torch.from_numpy(self.prototypes).to(vector.device) @ torch.nn.functional.normalize(vector, dim=0)
        logits = self.record.scale * cosines.cpu().numpy()
        findings = exclusive_findings(self.record, self.labels, logits, series)
        return shown(self.record, self.labels, findings, series, partial(self.contributions, series, vector))

    def contributions(self, series: SeriesFeatures, vector: Tensor, number: int) -> Contributions:
        """Contributions to the score of class *number*, the vector's length held at its value."""
        prototype = torch.from_numpy(self.prototypes[number]).to(vector.device)
        return self.linear_contributions(series, self.record.scale * prototype / vector.norm().clamp(min=1e-12), 0.0)


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
    return PrototypesHead(record, folder.algorithm(record), labels, prototypes)
