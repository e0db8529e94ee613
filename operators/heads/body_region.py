"""Which part of the body a series shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from operators.domain.features import FeatureVolume
from operators.domain.finding import Algorithm
from operators.encoder.pooling import mean_pooled
from operators.heads.linear import Linear
from operators.heads.records import BodyRegionRecord, Label


@dataclass(frozen=True, slots=True, eq=False)
class BodyRegionHead:
    record: BodyRegionRecord
    labels: tuple[Label, ...]
    linear: Linear
    algorithm: Algorithm

    def probabilities(self, features: FeatureVolume) -> dict[str, float]:
        """Probability of each region for the series: the mean over its slices."""
        logits = self.linear(slice_features(features))
        mean = softmax(logits, axis=1).mean(axis=0)
        return {label.name: float(value) for label, value in zip(self.labels, mean, strict=True)}


def slice_features(features: FeatureVolume) -> NDArray[np.float32]:
    """(S, 2 D): CLS beside the mean of the patch tokens."""
    return np.concatenate([features.cls, mean_pooled(features)], axis=1)
