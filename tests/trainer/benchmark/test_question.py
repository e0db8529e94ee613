from pathlib import Path

import numpy as np
import pytest

from pack_cases import made_pack, write_index
from trainer.benchmark.dataset import BenchmarkDataError, LeakageError
from trainer.benchmark.packs import read_pack
from trainer.benchmark.question import pose
from trainer.benchmark.task import Task

TASK = Task(
    name="t", track="packs", dataset="made", modality="MR", body_region="head", values="8-bit", kind="classification",
    target="label", classes=("dots", "halves"), protocols=("linear",), metric="balanced-accuracy",
)  # fmt: skip


def test_every_example_is_asked_once_and_no_patient_is_on_both_sides(pack: Path) -> None:
    question = pose(TASK, read_pack(pack))
    asked = np.concatenate([fold.asked for fold in question.folds])
    assert sorted(asked.tolist()) == list(range(24))
    for fold in question.folds:
        assert not set(question.patients[fold.fitted]) & set(question.patients[fold.asked])
        assert set(question.true[fold.fitted]) == {0.0, 1.0}


def test_a_published_split_is_kept(tmp_path: Path) -> None:
    rows = made_pack(tmp_path)
    parts = ["train", "val"] * 8 + ["test"] * 8
    write_index(tmp_path, [{**row, "split": part} for row, part in zip(rows, parts, strict=True)])
    (fold,) = pose(TASK, read_pack(tmp_path)).folds
    assert fold.asked.tolist() == list(range(16, 24))
    assert fold.fitted.tolist() == list(range(16))


def test_a_patient_in_train_and_test_is_refused_and_not_named(tmp_path: Path) -> None:
    rows = made_pack(tmp_path)
    write_index(tmp_path, [{**row, "split": "test" if k >= 15 else "train"} for k, row in enumerate(rows)])
    with pytest.raises(LeakageError, match="1 of 12 patients are in train and in test") as refusal:
        pose(TASK, read_pack(tmp_path))
    assert "SECRET" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "grade"}, "expected the columns grade, the table has image, mask, label, age, patient_id"),
        ({"classes": ("dots", "rings")}, "label: expected one of dots, rings, got halves"),
        ({"kind": "regression", "target": "label", "classes": ()}, "label: expected a number, got 'dots'"),
        ({"patient": "patient_family"}, "expected the columns patient_family"),
    ],
)
def test_what_does_not_fit_is_told(pack: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(BenchmarkDataError, match=words):
        pose(TASK.model_copy(update=change), read_pack(pack))


def test_another_word_for_a_part_is_refused(tmp_path: Path) -> None:
    rows = made_pack(tmp_path)
    write_index(tmp_path, [{**row, "split": "holdout"} for row in rows])
    with pytest.raises(BenchmarkDataError, match="split: expected one of train, .*got 'holdout'"):
        pose(TASK, read_pack(tmp_path))


def test_ranges_of_a_number_are_classes_and_leave_the_middle_out(pack: Path) -> None:
    task = TASK.model_copy(update={"target": "age", "classes": (), "ranges": {"young": (0, 45), "old": (65, 99)}})
    question = pose(task, read_pack(pack))
    assert question.classes == ("young", "old")
    ages = np.array([float(question.dataset.rows[row]["age"]) for row in question.rows])
    assert ((ages >= 65) == question.true).all()
    assert not ((ages > 45) & (ages < 65)).any()


def test_at_most_so_many_images_of_a_patient_keep_their_tokens(pack: Path) -> None:
    task = TASK.model_copy(update={"kind": "segmentation", "mask": "mask", "target": "", "per_patient": 1})
    assert len(pose(task, read_pack(pack)).rows) == 12
