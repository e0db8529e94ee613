"""Which part of the body a series shows."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from operators.domain.concepts import Code
from operators.domain.features import FeatureVolume
from operators.domain.finding import Algorithm, Finding
from operators.encoder.pooling import mean_pooled
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, HeadRecord, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels
from operators.heads.linear import Linear, read_linear

NAME = "body region"


class BodyRegionRecord(HeadRecord):
    """Linear in [CLS, mean of the patch tokens] of each slice, softmax, mean over the slices.

    threshold : probability of the likeliest region under which none is named
    """

    task: Literal["body-region"]
    kind: Literal["linear"]
    inputs: tuple[Literal["cls"], Literal["mean-token"]]
    code: Code
    threshold: float = Field(0.0, ge=0, le=1)


@dataclass(frozen=True, slots=True, eq=False)
class BodyRegionHead:
    record: BodyRegionRecord
    labels: tuple[Label, ...]
    linear: Linear
    algorithm: Algorithm
    needs: Needs = Needs(tokens=True)

    def begin(self, series: SeriesFeatures) -> "_Reading":
        return _Reading(self, series, self.linear.on(series.device))

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        """None: what nobody asked about the region has no place among the findings."""
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: BodyRegionHead
    series: SeriesFeatures
    linear: Linear
    of_slices: list[Tensor] = field(default_factory=list)

    def take(self, block: FeatureBlock) -> None:
        assert block.tokens is not None, "the head needs them"
        features = torch.cat([block.cls, block.tokens.mean(dim=1)], dim=1)
        self.of_slices.append(self.linear(features).softmax(dim=1))

    def answer(self) -> HeadAnswer:
        """The likeliest region as a finding, its code as the site; without a site where no region is likely enough."""
        mean = torch.cat(self.of_slices).mean(dim=0)
        regions = {label.name: float(value) for label, value in zip(self.head.labels, mean, strict=True)}
        likeliest = max(self.head.labels, key=lambda label: regions[label.name])
        record, probability = self.head.record, regions[likeliest.name]
        is_sure = probability >= record.threshold
        finding = Finding(
            name=NAME,
            code=record.code,
            site=likeliest.code if is_sure else None,
            head=record.name,
            series_instance_uid=self.series.series_instance_uid,
            probability=probability,
            threshold=record.threshold or None,
            present=True if is_sure else None,
            not_evaluated=None if is_sure else f"unsure: most like {likeliest.name}, but not enough",
        )
        return HeadAnswer(findings=(finding,), regions=regions if is_sure else {})


def read_head(folder: HeadFolder) -> BodyRegionHead:
    record = folder.record(BodyRegionRecord)
    labels = read_labels(folder.path)
    linear = read_linear(folder.path, num_outputs=len(labels), num_features=2 * folder.width)
    return BodyRegionHead(record, labels, linear, folder.algorithm(record))


def slice_features(features: FeatureVolume) -> NDArray[np.float32]:
    """(S, 2 D): CLS beside the mean of the patch tokens."""
    return np.concatenate([features.cls, mean_pooled(features)], axis=1)
