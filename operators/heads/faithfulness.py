"""Whether a finding's region is what made it: its tokens are taken out and the finding is judged again.

The deletion measure: taking the region out must lower the score more than taking out as many tokens elsewhere does. The
figure stands in a head's card. From heads that look at the image too, its pixels are taken as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from operators.domain.features import EncoderInput, FeatureVolume
from operators.errors import InputError
from operators.heads.head import Head, SeriesFeatures, ask


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """What a score loses without the region that is to explain it.

    region_drop : by how much the log odds fall without the region's tokens
    random_drops : without the same region moved elsewhere, once for each try
    """

    region_drop: float
    random_drops: tuple[float, ...]

    @property
    def share_beaten(self) -> float:
        """Share of the random regions whose removal lowers the score less; 1 is best, 0.5 is chance."""
        return float(np.mean(np.array(self.random_drops) < self.region_drop))


def deletion(
    head: Head, series: SeriesFeatures, finding: str, region: NDArray[np.bool_], *, tries: int, seed: int
) -> Faithfulness:
    """Judge a finding with and without its region.

    region : (S, rows, columns) tokens, some but not all of them
    tries : random regions, each the same one at another place

    Raises
    ------
    InputError
        The head gives no probability for the finding.
    """
    if region.shape != series.features.geometry.shape or region.all() or not region.any():
        raise ValueError(f"region: expected some of the tokens {series.features.geometry.shape}, got {region.shape}")
    rng = np.random.default_rng(seed)
    whole = _log_odds(head, series, finding)

    def drop(removed: NDArray[np.bool_]) -> float:
        seen = series.encoder_input
        features = without_tokens(series.features, removed)
        images = None if seen is None else without_pixels(seen, removed)
        return whole - _log_odds(head, replace(series, features=features, encoder_input=images), finding)

    moved = (np.roll(region, tuple(_another_place(rng, region.shape)), axis=(0, 1, 2)) for _ in range(tries))
    return Faithfulness(drop(region), tuple(drop(elsewhere) for elsewhere in moved))


def without_tokens(features: FeatureVolume, removed: NDArray[np.bool_]) -> FeatureVolume:
    """The features with the mean of the other tokens in place of those that are removed; CLS stays as it is."""
    gone = removed.reshape(removed.shape[0], -1)

    def filled(tokens: NDArray[np.float32]) -> NDArray[np.float32]:
        changed = np.array(tokens, np.float32)
        changed[gone] = changed[~gone].mean(axis=0, dtype=np.float64)
        return changed

    states = features.states
    if states is not None:
        states = np.concatenate([states[:][:, :1], filled(states[:][:, 1:])], axis=1)
    return FeatureVolume(features.cls, filled(features.tokens[:]), features.geometry, states)


def without_pixels(images: EncoderInput, removed: NDArray[np.bool_]) -> EncoderInput:
    """The images with 0, the mean of a z-scored slice, wherever a token is removed.

    removed : (S, rows, columns) tokens
    """
    patch = images.geometry.shape[1] // removed.shape[1]
    kept = ~removed.repeat(patch, axis=1).repeat(patch, axis=2)[:, None]

    def blocks(start: int, size: int) -> Iterator[Any]:
        for block in images.blocks(start, size):
            yield block * kept[start : start + len(block)]
            start += len(block)

    return replace(images, blocks=blocks)


def _another_place(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.integer]:
    """Of all shifts but the one by nothing."""
    shift = rng.integers(0, shape)
    while not shift.any():
        shift = rng.integers(0, shape)
    return shift


def _log_odds(head: Head, series: SeriesFeatures, finding: str) -> float:
    (answer,) = ask([head], series)
    for entry in answer.findings:
        if entry.name == finding and entry.probability is not None:
            return float(logit(np.clip(entry.probability, 1e-12, 1 - 1e-12)))
    raise InputError(f"faithfulness: head {head.record.name} gives no probability for {finding!r} in this series")
