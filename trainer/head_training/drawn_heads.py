"""Heads that draw, as cross-validation asks them: parts of the body in every study, or a finding in some."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.heads.evidence import above, strongest_class
from operators.heads.finding import slice_scores
from trainer.evaluation.overlap import dice, hd95, surface_distance
from trainer.head_training.outliners import LabelledStudies, Outliner
from trainer.head_training.trainable import Fitted, Rows, Scores, Tensors

OVERLAPS = 3
"""Dice, HD95 and surface distance come before whatever else is told of a study."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnHead:
    """Each voxel belongs to the class of the largest evidence above 0."""

    studies: LabelledStudies
    outliner: Outliner
    num_classes: int

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        return _fitted(self, self.outliner, rows, penalty, epochs, seed, held_out)

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        """(n, 3): Dice, HD95 and surface distance, means over the classes that either shows; nan where none does."""
        return np.array([self._overlap(tensors, row) for row in rows])

    def _overlap(self, tensors: Tensors, row: int) -> NDArray[np.float64]:
        true = self.studies.label_map(row)
        assert true is not None, "each study of a part of the body has a map"
        predicted = strongest_class(self.outliner.evidence(tensors, row), true.geometry)
        pairs = [(predicted == number, true.array == number) for number in range(1, self.num_classes + 1)]
        return _mean_overlap(pairs, true.geometry.spacing)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFindingHead:
    """Something that a study may show or not: where its evidence lies above 0, and how strong its best slice is.

    top : of a slice's cells, the mean of so many largest is its score
    """

    studies: LabelledStudies
    outliner: Outliner
    top: int

    def fit(self, rows: Rows, *, penalty: float, epochs: int, seed: int, held_out: Rows | None = None) -> Fitted:
        return _fitted(self, self.outliner, rows, penalty, epochs, seed, held_out)

    def scores(self, tensors: Tensors, rows: Rows) -> Scores:
        """(n, 4): Dice, HD95 and surface distance of those that show it, and the best slice's score."""
        return np.array([self._answer(tensors, row) for row in rows])

    def _answer(self, tensors: Tensors, row: int) -> NDArray[np.float64]:
        (evidence,) = self.outliner.evidence(tensors, row)
        score, true = float(slice_scores(evidence, self.top).max()), self.studies.label_map(row)
        if true is None or not true.array.any():
            return np.array([*[np.nan] * OVERLAPS, score])
        pair = (above(evidence, 0.0, true.geometry), np.asarray(true.array) > 0)
        return np.array([*_mean_overlap([pair], true.geometry.spacing), score])


def _fitted(
    head: DrawnHead | DrawnFindingHead,
    outliner: Outliner,
    rows: Rows,
    penalty: float,
    epochs: int,
    seed: int,
    held_out: Rows | None,
) -> Fitted:
    """What held-out rows lose is what their mean Dice lacks to 1."""
    tensors = outliner.fit(rows, penalty=penalty, epochs=epochs, seed=seed)
    if held_out is None:
        return Fitted(tensors)
    dices = head.scores(tensors, held_out)[:, 0]
    told = dices[np.isfinite(dices)]
    return Fitted(tensors, held_out_loss=1.0 - float(told.mean()) if len(told) else 1.0)


def _mean_overlap(
    pairs: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]], spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3,) over the pairs of which either shows something; distances over those that both show."""
    shown = [pair for pair in pairs if pair[0].any() or pair[1].any()]
    if not shown:
        return np.full(OVERLAPS, np.nan)
    found = np.array([(dice(*pair), hd95(*pair, spacing), surface_distance(*pair, spacing)) for pair in shown])
    known = np.isfinite(found)
    with_any = known.any(axis=0)
    sums = np.where(known, found, 0.0).sum(axis=0)
    return np.where(with_any, sums / np.maximum(known.sum(axis=0), 1), np.nan)
