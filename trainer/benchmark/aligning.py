"""Registration as the application does it: a deformable transform from a model's features, judged by carried labels."""

import numpy as np
from numpy.typing import NDArray

from operators.domain.registration import Registration
from operators.domain.volume import Volume
from operators.registration.alignment import AlignmentSettings, RegistrationInput, align
from trainer.benchmark.carrying import labelled, mean_overlap
from trainer.benchmark.dense import features_at
from trainer.benchmark.features import FeatureTable
from trainer.benchmark.question import Question
from trainer.evaluation.predictions import Predictions

POINTS = 48**3
"""About how many points the lattice of the deformable step has."""


def answer_alignment(question: Question, fixed: FeatureTable, moving: FeatureTable) -> Predictions:
    """For each pair the mean Dice over labels on the fixed grid, the moving ones carried by the transform found."""
    places = np.concatenate([fold.asked for fold in question.folds])
    found = np.array([_overlap(question, question.rows[place], fixed, moving) for place in places])
    return Predictions(question.patients[places], np.zeros(len(places)), found[None, :, None])


def _overlap(question: Question, row: int, fixed: FeatureTable, moving: FeatureTable) -> float:
    task = question.task
    first, last = ("CT", "MR") if task.modality == "CT and MR" else (task.modality, task.modality)
    image, true = labelled(question, row, task.image, task.mask)
    other, labels = labelled(question, row, task.moving, task.moving_mask)
    registration = align(
        RegistrationInput(image, first, features_at(fixed, row, image.geometry)),
        RegistrationInput(other, last, features_at(moving, row, other.geometry)),
        settings=AlignmentSettings(points=POINTS),
    )
    return mean_overlap(_carried(registration, labels, true), true.array)


def _carried(registration: Registration, labels: Volume, fixed: Volume) -> NDArray[np.uint8]:
    """The moving labels on the fixed grid, by the nearest voxel; 0 where the moving image does not reach."""
    transform = registration.field or registration.affine
    indices = np.stack(np.meshgrid(*map(np.arange, fixed.geometry.shape), indexing="ij"), axis=-1)
    positions = transform.moving_positions(fixed.geometry.positions(indices))
    nearest = np.rint(labels.geometry.indices(positions)).astype(int)
    inside = ((nearest >= 0) & (nearest < labels.geometry.shape)).all(axis=-1)
    carried = np.zeros(fixed.geometry.shape, np.uint8)
    carried[inside] = labels.array[tuple(nearest[inside].T)]
    return carried
