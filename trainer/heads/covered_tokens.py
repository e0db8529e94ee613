"""A linear map that tells the tokens that something covers from all others."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from operators.heads.linear import Linear
from trainer.heads.linear import Features, fit_presence

STRENGTH = 0.01
"""Inverse penalty; chosen among few on the sarcoma patients."""

TOKENS_FROM_EACH_SCAN = 2000


def fit_covered_tokens(scans: Iterable[tuple[Features, NDArray[np.bool_]]], *, seed: int) -> Linear:
    """Log odds of a token being covered, fitted on the same number of tokens of each scan.

    scans : (N, D) tokens, and (N,) whether each is covered
    """
    features, covered = sample_tokens(scans, seed=seed)
    return fit_presence(features, covered, strength=STRENGTH)


def sample_tokens(
    scans: Iterable[tuple[Features, NDArray[np.bool_]]], *, seed: int
) -> tuple[Features, NDArray[np.bool_]]:
    """At most `TOKENS_FROM_EACH_SCAN` tokens of each scan, drawn without replacement."""
    rng = np.random.default_rng(seed)
    features, covered = [], []
    for tokens, is_covered in scans:
        chosen = rng.choice(len(tokens), min(len(tokens), TOKENS_FROM_EACH_SCAN), replace=False)
        features.append(tokens[chosen])
        covered.append(is_covered[chosen])
    return np.concatenate(features), np.concatenate(covered)
