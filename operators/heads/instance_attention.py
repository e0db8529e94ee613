"""A bag of instances: gated attention weighs slices and tokens, their weighted mean is classified.

Ilse et al., "Attention-based deep multiple instance learning" (2018): an instance x has the weight
a ~ exp(w (tanh(V x) * sigmoid(U x))), the bag is the sum of a x over all instances, and a linear map of it gives the
classes' scores. The softmax over instances is built up as they come (its largest score, its denominator and the
weighted sum), so that a series of any length is read in one pass.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from operators.domain.finding import Algorithm, Finding
from operators.heads.classes import (
    ClassRecord,
    check_outputs,
    exclusive_findings,
    independent_findings,
    unanswered,
)
from operators.heads.contributions import Contributions, contributions_of
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels
from operators.heads.linear import Linear, first_length, read_weights
from operators.heads.shown import shown


class InstanceAttentionRecord(ClassRecord):
    """head.toml of a head that weighs instances.

    instances : CLS of each slice, patch tokens, or both
    exclusive : whether one class at most can be there
    """

    task: Literal["classification"]
    kind: Literal["instance-attention"]
    instances: tuple[Literal["cls", "tokens"], ...] = Field(min_length=1)
    exclusive: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """The gated attention's weights.

    tanh, sigmoid : (D) to (H)
    score : (H) to (1)
    """

    tanh: Linear
    sigmoid: Linear
    score: Linear

    def on(self, device: str) -> "Gate":
        """The same gate on *device*."""
        return Gate(self.tanh.on(device), self.sigmoid.on(device), self.score.on(device))

    def __call__(self, instances: Tensor) -> Tensor:
        """(n, D) to (n,): log of the attention weight, up to a constant."""
        gated = torch.tanh(self.tanh(instances)) * torch.sigmoid(self.sigmoid(instances))
        return self.score(gated)[:, 0]  # type: ignore[no-any-return]


@dataclass(slots=True, eq=False)
class Bag:
    """The attention-weighted mean of the instances so far.

    largest : score; total : sum of exp(score - largest); summed : (D,) the same with the instances
    scores : of the instances, in the order in which they came
    """

    largest: Tensor | None = None
    total: Tensor | None = None
    summed: Tensor | None = None
    scores: list[Tensor] = field(default_factory=list)

    def put(self, instances: Tensor, scores: Tensor) -> None:
        """Add instances with their scores.

        instances : (n, D)
        scores : (n,)
        """
        largest = scores.max() if self.largest is None else torch.maximum(self.largest, scores.max())
        weights = torch.exp(scores - largest)
        total, summed = weights.sum(), weights @ instances
        if self.largest is not None and self.total is not None and self.summed is not None:
            earlier = torch.exp(self.largest - largest)
            total, summed = total + earlier * self.total, summed + earlier * self.summed
        self.largest, self.total, self.summed = largest, total, summed
        self.scores.append(scores)

    def mean(self) -> Tensor:
        """The weighted mean of all instances, of shape (D,)."""
        assert self.summed is not None
        assert self.total is not None
        return self.summed / self.total

    def weights(self) -> list[Tensor]:
        """The attention of the instances, block by block; they sum up to 1."""
        assert self.largest is not None
        assert self.total is not None
        return [torch.exp(scores - self.largest) / self.total for scores in self.scores]


@dataclass(frozen=True, slots=True, eq=False)
class InstanceAttentionHead:
    record: InstanceAttentionRecord
    labels: tuple[Label, ...]
    gate: Gate
    classifier: Linear
    algorithm: Algorithm

    @property
    def needs(self) -> Needs:
        return Needs(tokens="tokens" in self.record.instances)

    def begin(self, series: SeriesFeatures) -> "_Reading":
        return _Reading(self, series, self.gate.on(series.device), self.classifier.on(series.device))

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        return unanswered(self.record, self.labels, series, reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: InstanceAttentionHead
    series: SeriesFeatures
    gate: Gate
    classifier: Linear
    bag: Bag = field(default_factory=Bag)

    def take(self, block: FeatureBlock) -> None:
        instances = instances_of(block, self.head.record)
        self.bag.put(instances, self.gate(instances))

    def answer(self) -> HeadAnswer:
        head = self.head
        logits: NDArray[np.float32] = self.classifier(self.bag.mean()).cpu().numpy()
        findings = exclusive_findings if head.record.exclusive else independent_findings
        answered = findings(head.record, head.labels, logits, self.series)
        return shown(head.record, head.labels, answered, self.series, self.contributions)

    def contributions(self, number: int) -> Contributions:
        """Contributions to the logit of output *number*: each instance gives its attention times its own score."""
        record, weight = self.head.record, self.classifier.weight[number]
        attention = iter(self.bag.weights())

        def multiplied(block: FeatureBlock) -> tuple[Tensor, Tensor]:
            parts = next(attention) * (instances_of(block, record) @ weight)
            num_cls = len(block.cls) if "cls" in record.instances else 0
            num_tokens = self.series.features.tokens.shape[1]
            of_tokens = (
                parts[num_cls:] if "tokens" in record.instances else parts.new_zeros(len(block.cls) * num_tokens)
            )
            of_cls = parts[:num_cls] if num_cls else parts.new_zeros(len(block.cls))
            return of_cls, of_tokens

        return contributions_of(self.series, self.head.needs, multiplied, rest=float(self.classifier.bias[number]))


def instances_of(block: FeatureBlock, record: InstanceAttentionRecord) -> Tensor:
    """(n, D): CLS of the block's slices before their patch tokens, as far as the head takes them."""
    parts = [block.cls] if "cls" in record.instances else []
    if "tokens" in record.instances:
        assert block.tokens is not None, "the head needs them"
        parts.append(block.tokens.flatten(0, 1))
    return torch.cat(parts)


def read_head(folder: HeadFolder) -> InstanceAttentionHead:
    record, labels = folder.record(InstanceAttentionRecord), read_labels(folder.path)
    check_outputs(record, labels)
    width, hidden = folder.width, first_length(folder.path, "tanh.weight")
    shapes = {"classifier.weight": (len(labels), width), "classifier.bias": (len(labels),)}
    shapes |= {f"{gate}.weight": (hidden, width) for gate in ("tanh", "sigmoid")}
    shapes |= {f"{gate}.bias": (hidden,) for gate in ("tanh", "sigmoid")}
    tensors = read_weights(folder.path, shapes | {"score.weight": (1, hidden), "score.bias": (1,)})

    def linear(name: str) -> Linear:
        return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    gate = Gate(linear("tanh"), linear("sigmoid"), linear("score"))
    return InstanceAttentionHead(record, labels, gate, linear("classifier"), folder.algorithm(record))
