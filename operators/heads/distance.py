"""How far a series' features lie from those that a head was trained on.

The training set's vectors are described by their mean, the few directions in which they vary most, the variance along
each of them and one variance for all others (the probabilistic principal components of Tipping and Bishop, 1999). The
distance is Mahalanobis' under that covariance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.finding import Algorithm, Finding
from operators.errors import CheckpointError
from operators.heads.head import (
    FeatureBlock,
    Head,
    HeadAnswer,
    HeadFolder,
    HeadRecord,
    Needs,
    Reading,
    SeriesFeatures,
)
from operators.heads.linear import first_length, read_weights
from operators.heads.pooled import SeriesMean, needs_of
from operators.heads.scope import Distance

FILE_NAME = "scope.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class FeatureFit:
    """The training set's vectors as a normal distribution.

    mean : (F,)
    axes : (r, F) orthonormal
    variances : (r,) along them
    residual : along every other direction
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    variances: NDArray[np.float32]
    residual: float

    def distance(self, vector: NDArray[np.floating]) -> float:
        """Mahalanobis' distance of (F,)."""
        offset = np.asarray(vector, np.float64) - self.mean
        along = self.axes.astype(np.float64) @ offset
        rest = max(float(offset @ offset - along @ along), 0.0)
        return float(np.sqrt((along**2 / self.variances).sum() + rest / self.residual))


@dataclass(frozen=True, slots=True, eq=False)
class GuardedHead:
    """A head that does not answer where the series lies too far from its training set."""

    head: Head
    limits: Distance
    fit: FeatureFit

    @property
    def record(self) -> HeadRecord:
        return self.head.record

    @property
    def algorithm(self) -> Algorithm:
        return self.head.algorithm

    @property
    def needs(self) -> Needs:
        return self.head.needs | needs_of(self.limits.inputs)

    def begin(self, series: SeriesFeatures) -> Reading:
        return _Reading(self, series, self.head.begin(series), SeriesMean(self.limits.inputs))

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        return self.head.unanswered(series, reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    guarded: GuardedHead
    series: SeriesFeatures
    reading: Reading
    mean: SeriesMean

    def take(self, block: FeatureBlock) -> None:
        self.mean.take(block)
        self.reading.take(block)

    def answer(self) -> HeadAnswer:
        limits = self.guarded.limits
        distance = self.guarded.fit.distance(self.mean.vector().cpu().numpy())
        if distance <= limits.limit:
            return self.reading.answer()
        reason = (
            f"unlike its training set: its features lie at a distance of {distance:.1f}, "
            f"{limits.percentile:g} % of that set within {limits.limit:.1f}"
        )
        return HeadAnswer(findings=self.guarded.unanswered(self.series, reason))


def guarded(head: Head, folder: HeadFolder) -> Head:
    """The head with the guard that its record asks for, if it does.

    Raises
    ------
    CheckpointError
        scope.safetensors is missing or malformed.
    """
    limits = head.record.distance
    if limits is None:
        return head
    width, rank = len(limits.inputs) * folder.width, first_length(folder.path, "variances", FILE_NAME)
    shapes = {"mean": (width,), "axes": (rank, width), "variances": (rank,), "residual": (1,)}
    tensors = read_weights(folder.path, shapes, FILE_NAME)
    if not ((tensors["variances"] > 0).all() and tensors["residual"][0] > 0):
        raise CheckpointError(f"{folder.path.name}/{FILE_NAME}: expected variances above 0")
    fit = FeatureFit(tensors["mean"], tensors["axes"], tensors["variances"], float(tensors["residual"][0]))
    return GuardedHead(head, limits, fit)
