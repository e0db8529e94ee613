"""How far a series may lie from the people that a head was fitted on; see `operators.heads.distance`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import FeatureVolume
from operators.heads.distance import FeatureFit
from operators.heads.scope import Distance
from trainer.evaluation.folds import patient_folds
from trainer.heads.feature_fit import fit_features, held_out_distances

RANK = 8
PERCENTILE = 99.0
NUM_FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class FittedScope:
    """How far a series may lie from those fitted on.

    limits : what head.toml says
    fit : what lies in scope.safetensors
    """

    limits: Distance
    fit: FeatureFit


def fit_scope(vectors: Sequence[NDArray[np.float32]], patients: Sequence[str]) -> FittedScope:
    """The distance within which the people of the training set lie, each asked of a fit on the others.

    vectors : (2 D,) of each scan, of `series_vector`
    """
    rows, names = np.stack(vectors), np.array(patients)
    folds = [np.flatnonzero(np.isin(names, list(fold))) for fold in patient_folds(sorted(set(patients)), NUM_FOLDS)]
    distances = held_out_distances(rows, folds, rank=RANK)
    limit = float(np.percentile(distances, PERCENTILE))
    return FittedScope(
        Distance(inputs=("cls", "mean-token"), limit=limit, percentile=PERCENTILE), fit_features(rows, rank=RANK)
    )


def series_vector(features: FeatureVolume) -> NDArray[np.float32]:
    """(2 D,): the mean over the slices of CLS and of the mean token."""
    tokens = np.asarray(features.tokens, np.float32).mean(axis=(0, 1))
    return np.concatenate([features.cls.mean(axis=0), tokens]).astype(np.float32)
