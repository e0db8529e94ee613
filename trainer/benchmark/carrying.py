"""Registration without a transform: labels of a moving image carried over by the most similar token."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from operators.domain.features import FeatureVolume
from operators.domain.volume import Volume
from trainer.benchmark.dataset import BenchmarkDataError, mask_on
from trainer.benchmark.dense import SUBDIVISION, features_at
from trainer.benchmark.features import FeatureTable, slice_places, thinned
from trainer.benchmark.question import Question
from trainer.evaluation.overlap import dice
from trainer.evaluation.predictions import Predictions
from trainer.features.token_labels import cell_labels

BLOCK = 1024
"""Tokens that are compared with all others at a time."""


def answer_nearest_tokens(question: Question, fixed: FeatureTable, moving: FeatureTable) -> Predictions:
    """For each pair the mean Dice over labels, cell by cell: each fixed token takes over the cells of the moving token
    with the largest cosine. Nothing is fitted.
    """
    places = np.concatenate([fold.asked for fold in question.folds])
    found = np.array([_overlap(question, question.rows[place], fixed, moving) for place in places])
    return Predictions(question.patients[places], np.zeros(len(places)), found[None, :, None])


def _overlap(question: Question, row: int, fixed: FeatureTable, moving: FeatureTable) -> float:
    task = question.task
    still, true = _tokens_and_cells(question, row, fixed, task.image, task.mask)
    shown, labels = _tokens_and_cells(question, row, moving, task.moving, task.moving_mask)
    return mean_overlap(labels[_most_similar(still, shown)], true)


def mean_overlap(carried: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """Mean Dice over the labels that one of them shows; 1 where neither shows any."""
    numbers = sorted((set(np.unique(true).tolist()) | set(np.unique(carried).tolist())) - {0})
    return float(np.mean([dice(carried == number, true == number) for number in numbers])) if numbers else 1.0


def labelled(question: Question, row: int, image: str, mask: str) -> tuple[Volume, Volume]:
    """The slices of an image that were encoded, and their labels."""
    dataset = question.dataset
    volume = dataset.read_image(row, image)
    labels = mask_on(volume, dataset.read_mask(row, mask), name=f"{dataset.name}: row {row + 2}: {mask}")
    if labels.max() > np.iinfo(np.uint8).max:
        raise BenchmarkDataError(f"{dataset.name}: row {row + 2}: {mask}: expected labels up to 255")
    places = slice_places(len(labels), question.task.slices)
    return thinned(volume, places), thinned(Volume(labels.astype(np.uint8), volume.geometry), places)


def _tokens_and_cells(
    question: Question, row: int, table: FeatureTable, image: str, mask: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(S * N, D) and (S * N, cells)"""
    _, labels = labelled(question, row, image, mask)
    features: FeatureVolume = features_at(table, row, labels.geometry)
    cells = cell_labels(labels, features.geometry, SUBDIVISION)
    return features.tokens.reshape(-1, features.tokens.shape[-1]), cells.reshape(-1, SUBDIVISION**2)


def _most_similar(fixed: NDArray[np.float32], moving: NDArray[np.float32]) -> NDArray[np.int64]:
    known = functional.normalize(torch.from_numpy(moving), dim=1)
    starts = range(0, len(fixed), BLOCK)
    parts = (functional.normalize(torch.from_numpy(fixed[start : start + BLOCK]), dim=1) for start in starts)
    rows = [(part @ known.T).argmax(dim=1) for part in parts]
    return np.asarray(torch.cat(rows).numpy())
