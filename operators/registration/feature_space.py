"""What two images are compared by: self-similarity, the encoder's tokens in one space, or both."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.resampling import resample
from operators.registration.self_similarity import self_similarity

COMPONENTS = 12
SAMPLES = 20_000
"""Tokens of each image that the common components are fitted to."""
SELF_SIMILARITY_VARIANCE = 1.0
"""Sum of the twelve channels' variances over a body, roughly; the encoder's components are brought to the same."""


@dataclass(frozen=True, slots=True)
class FeatureChoice:
    """Weights of the parts; 0 leaves one out."""

    self_similarity: float = 1.0
    encoder: float = 0.0


def choose_features(*, has_encoder: bool, demonstration: bool) -> FeatureChoice:
    """Self-similarity, and beside it the encoder's tokens; those of a demonstration with half the weight."""
    if not has_encoder:
        return FeatureChoice()
    return FeatureChoice(encoder=0.5 if demonstration else 1.0)


def token_components(
    features: tuple[FeatureVolume, FeatureVolume], bodies: tuple[Volume, Volume]
) -> tuple[tuple[Volume, ...], tuple[Volume, ...]]:
    """The tokens of both images on their common principal components, each component as a volume on its token grid.

    bodies : masks; only tokens within them decide on the components
    """
    inside = [_inside(volume, body) for volume, body in zip(features, bodies, strict=True)]
    samples = [_sampled(volume, mask) for volume, mask in zip(features, inside, strict=True)]
    # Each image's own mean goes: it tells scanner and modality, not anatomy.
    means = [part.mean(axis=0) for part in samples]
    joint = np.concatenate([part - mean for part, mean in zip(samples, means, strict=True)])
    values, vectors = np.linalg.eigh(joint.T @ joint / len(joint))
    basis = vectors[:, ::-1][:, :COMPONENTS].astype(np.float32)
    total = float(values[::-1][:COMPONENTS].sum())
    basis *= np.sqrt(SELF_SIMILARITY_VARIANCE / max(total, 1e-12))
    return _projected(features[0], means[0], basis), _projected(features[1], means[1], basis)


def on_lattice(components: tuple[Volume, ...], lattice: Geometry) -> NDArray[np.float32]:
    """(C, D, H, W) components at the lattice's points, trilinear."""
    return np.stack([resample(volume, lattice, order=1).array for volume in components])


def described(image: Tensor, maps: Tensor, choice: FeatureChoice) -> Tensor:
    """(C, D, H, W) features of a (1, D, H, W) image and its encoder maps, weighted by the choice."""
    parts = []
    if choice.self_similarity:
        parts.append(choice.self_similarity * self_similarity(image[0]))
    if choice.encoder and len(maps):
        parts.append(choice.encoder * maps)
    return torch.cat(parts)


def _inside(features: FeatureVolume, body: Volume) -> NDArray[np.bool_]:
    mask = resample(body.astype(np.float32), features.geometry, order=1).array > 0.5
    return mask if mask.any() else np.ones(mask.shape, np.bool_)


def _sampled(features: FeatureVolume, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N, D) tokens from all over the body."""
    rng = np.random.default_rng(0)
    share = min(1.0, SAMPLES / max(int(np.count_nonzero(inside)), 1))
    parts = []
    for place, tokens in features.token_blocks():
        chosen = inside[place].reshape(len(tokens), -1) & (rng.random((len(tokens), tokens.shape[1])) < share)
        parts.append(np.asarray(tokens, np.float32)[chosen])
    return np.concatenate(parts)


def _projected(features: FeatureVolume, mean: NDArray[np.float32], basis: NDArray[np.float32]) -> tuple[Volume, ...]:
    parts = [(np.asarray(tokens, np.float32) - mean) @ basis for _, tokens in features.token_blocks()]
    projected = np.concatenate(parts).reshape(*features.geometry.shape, basis.shape[1])
    return tuple(Volume(np.ascontiguousarray(projected[..., k]), features.geometry) for k in range(basis.shape[1]))
