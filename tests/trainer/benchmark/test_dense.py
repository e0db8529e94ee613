"""A linear map of made tokens, judged on the image's grid."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.domain.volume import Volume
from pack_cases import SIDE, square
from trainer.benchmark.dataset import BenchmarkDataError, DataSet
from trainer.benchmark.dense import answer_dense, true_classes
from trainer.benchmark.question import Question, pose
from trainer.benchmark.task import Task
from trainer.ingest.pictures import flat_volume

GRID = 8


def mask(row: int) -> NDArray[np.bool_]:
    """At another place in every image, on the borders of tokens."""
    return square(4 * (row % 5), 4 * (row * 3 % 5), side=12)


@dataclass
class Made:
    """One feature tells how much of a token is covered; *noise* others tell nothing."""

    noise: int

    def tokens(self, row: int) -> NDArray[np.float32]:
        covered = mask(row).reshape(GRID, 4, GRID, 4).mean(axis=(1, 3)).reshape(1, GRID**2, 1)
        rng = np.random.default_rng(row)
        noise = rng.normal(size=(1, GRID**2, self.noise))
        return np.concatenate([covered + 0.1 * rng.normal(size=covered.shape), noise], axis=2).astype(np.float32)


def question(patients: int, **change: object) -> Question:
    def read(row: int, column: str) -> Volume:
        return flat_volume((255 * mask(row)).astype(np.float32))

    rows = tuple({"image": "i", "mask": "m", "patient_id": f"p{number}"} for number in range(patients))
    task = Task(
        name="t", track="packs", dataset="d", modality="", body_region="", values="8-bit", kind="segmentation",
        mask="mask", mask_from=128, protocols=("dense",), metric="dice",
    )  # fmt: skip
    return pose(task.model_copy(update=change), DataSet("d", "0", rows, read, read))


def test_tokens_that_tell_what_covers_them_outline_it() -> None:
    dices, distances = answer_dense(question(12), Made(noise=4)).scores[0].T
    assert dices.mean() > 0.9
    assert distances.max() < 4


def test_tokens_that_tell_nothing_overlap_by_chance_alone() -> None:
    made = Made(noise=4)
    shuffled = Made(noise=4)
    shuffled.tokens = lambda row: made.tokens(row + 7)  # type: ignore[method-assign]
    assert answer_dense(question(12), shuffled).scores[0, :, 0].mean() < 0.5


def test_where_nothing_is_told_of_what_is_rare_everything_is_outlined_and_not_nothing() -> None:
    made = Made(noise=0)
    made.tokens = lambda row: np.ones((1, GRID**2, 1), np.float32)  # type: ignore[method-assign]
    everything = 2 * mask(0).sum() / (mask(0).sum() + SIDE**2)
    np.testing.assert_allclose(answer_dense(question(12), made).scores[0, :, 0], everything)


def test_a_number_that_no_class_has_is_told() -> None:
    with pytest.raises(BenchmarkDataError, match=r"d: mask: expected 0 or one of 1, 2, got 255"):
        true_classes(question(2, mask_from=None, classes=("a", "b")), 0)


def test_numbers_stand_for_classes_in_their_order() -> None:
    classes = true_classes(question(2, mask_from=None, mask_values=(128.0, 255.0)), 0).array
    np.testing.assert_array_equal(classes[0], 2 * mask(0))
    assert classes.shape == (1, SIDE, SIDE)
