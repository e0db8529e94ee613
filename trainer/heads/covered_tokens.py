"""Tokens to fit on: as many of each scan, with whether something covers them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from trainer.heads.linear import Features

STRENGTH = 0.01
"""Inverse penalty; chosen among few on the sarcoma patients."""

TOKENS_FROM_EACH_SCAN = 2000


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
