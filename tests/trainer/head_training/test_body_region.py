"""A body-region head is trained of a table, and decides in the application which heads are asked."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import softmax

from head_training_cases import Cohort
from operators.encoder.tensor_file import read_tensors
from operators.heads.body_region import BodyRegionHead
from operators.heads.head import HeadFolder
from operators.heads.kinds import read_head
from operators.model.digests import folder_digest
from operators.model.model_folder import Model
from trainer.head_training.slice_heads import SliceClassesHead
from trainer.heads.optimising import Optimiser


def test_regions_are_told_by_the_mean_over_slices(train: Callable[..., Path], cohort: Cohort, model: Model) -> None:
    for row in cohort.rows:
        row["region"] = "chest" if row["effusion"] else "abdomen"
    head = {"task": "body-region", "kind": "linear", "threshold": 0.6}
    folder = train(head, ["region"], fit={"penalties": [0.01]})
    found = read_head(HeadFolder(folder, model.snapshot, folder_digest(folder)))
    assert isinstance(found, BodyRegionHead)
    assert [label.name for label in found.labels] == ["abdomen", "chest"]
    for row in cohort.rows:
        tensors = read_tensors(cohort.folder / row["study"])
        (cls,) = (tensor[:] for name, tensor in tensors.items() if name.endswith("/cls"))
        (tokens,) = (tensor[:] for name, tensor in tensors.items() if name.endswith("/tokens"))
        told = softmax(found.linear(np.concatenate([cls, tokens.mean(axis=1)], axis=1)), axis=1).mean(axis=0)
        assert found.labels[int(told.argmax())].name == row["region"]
    record = tomllib.loads((folder / "head.toml").read_text())
    assert record["measured"]["balanced_accuracy"] > 0.9
    assert record["threshold"] == 0.6
    assert "distance" not in record


def test_a_study_of_many_slices_counts_like_one_of_few() -> None:
    """Two studies of one feature's two values, told apart by nothing but how many slices they have."""
    slices = [np.ones((30, 1), np.float32), np.ones((1, 1), np.float32)]
    head = SliceClassesHead(lambda row: slices[row], np.array([[0.0], [1.0]]), np.ones((2, 1)), 2, Optimiser())
    rows = np.arange(2)
    tensors = head.fit(rows, penalty=0.001, epochs=100, seed=0).tensors
    np.testing.assert_allclose(head.scores(tensors, rows), 0.5, atol=1e-4)
