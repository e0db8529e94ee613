"""Heads of a model asked about a pack's images, on tokens that tell what is there."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.domain.concepts import BODY_REGIONS, Code
from operators.domain.finding import Algorithm
from operators.domain.volume import Volume
from operators.heads.body_region import BodyRegionHead, BodyRegionRecord
from operators.heads.distance import FeatureFit, GuardedHead
from operators.heads.head import Head
from operators.heads.labels import Label
from operators.heads.linear import Linear
from operators.heads.organs import OrganHead, SegmentationRecord
from operators.heads.scope import Distance
from pack_cases import square
from trainer.benchmark.dataset import DataSet
from trainer.benchmark.head_answers import answer_by_head, head_for
from trainer.benchmark.question import Question, pose
from trainer.benchmark.task import Task
from trainer.evaluation.predictions import METRICS, resampled_metric
from trainer.features.slice_models import SliceModel, pixel_model
from trainer.ingest.pictures import flat_volume

GRID, PATIENTS = 8, 6
COMMON = {"name": "made", "version": "1", "encoder_sha256": "ab" * 32, "data": "none", "modality": ("MR",)}
CODE = Code("1", "99TEST", "made")


def mask(row: int) -> NDArray[np.bool_]:
    return square(4 * (row % 5), 8)


def parts(row: int) -> NDArray[np.float32]:
    """The left half of the square is 1, the right one 2."""
    half = np.arange(32)[None] < 14
    return np.where(mask(row), np.where(half, 1, 2), 0).astype(np.float32)


@dataclass
class Made:
    """Tokens of one feature: 1 where the square covers them; CLS tells the class by its sign."""

    def tokens(self, row: int) -> NDArray[np.float32]:
        return mask(row).reshape(GRID, 4, GRID, 4).mean(axis=(1, 3)).reshape(1, GRID**2, 1).astype(np.float32)

    def vectors(self, rows: tuple[int, ...]) -> NDArray[np.float32]:
        return np.array([[1.0 if row % 2 else -1.0, 0.0] for row in rows], np.float32)


def organ_head(name: str) -> OrganHead:
    record = SegmentationRecord.model_validate(
        {**COMMON, "task": "segmentation", "kind": "linear", "inputs": ("tokens",), "subdivision": 1,
         "minimum_volume_ml": 0.0}
    )  # fmt: skip
    linear = Linear(np.ones((1, 1), np.float32), np.full(1, -0.5, np.float32))
    return OrganHead(record, (Label(name=name, code=CODE, category=CODE),), linear, Algorithm("made", "1", "0"))


def region_head() -> BodyRegionHead:
    record = BodyRegionRecord.model_validate(
        {**COMMON, "task": "body-region", "kind": "linear", "inputs": ("cls", "mean-token"), "code": CODE}
    )
    names = ("head", "chest", "abdomen")
    linear = Linear(np.array([[-5, 0], [5, 0], [0, 0]], np.float32), np.zeros(3, np.float32))
    labels = tuple(Label(name=name, code=BODY_REGIONS[name]) for name in names)
    return BodyRegionHead(record, labels, linear, Algorithm("made", "1", "0"))


def question(**change: object) -> Question:
    def read(row: int, column: str) -> Volume:
        return flat_volume(parts(row) if column == "mask" else 100 * mask(row).astype(np.float32))

    rows = tuple(
        {"image": "i", "mask": "m", "patient_id": f"p{row}", "region": ("head", "chest")[row % 2]}
        for row in range(PATIENTS)
    )
    task = Task(
        name="t", track="packs", dataset="d", modality="MR", body_region="", values="8-bit", kind="segmentation",
        mask="mask", classes=("a", "b"), structures=("left ventricle", "left ventricle"), protocols=("dense",),
        metric="dice",
    )  # fmt: skip
    return pose(task.model_copy(update=change), DataSet("d", "0", rows, read, read))


REGIONS = {"kind": "classification", "target": "region", "classes": (), "structures": (), "mask": ""}


@pytest.fixture
def model(pixels: SliceModel) -> SliceModel:
    return pixels


def test_a_head_that_draws_the_structure_overlaps_it_wherever_it_is(model: SliceModel) -> None:
    """Both parts together are the head's structure."""
    predictions = answer_by_head(question(), Made(), model, organ_head("left ventricle"))
    assert predictions.scores.shape == (1, PATIENTS, 2)
    assert predictions.scores[0, :, 0].min() > 0.9
    assert predictions.scores[0, :, 1].max() < 3


def test_a_head_with_a_scope_is_asked_by_cls_and_draws_nothing_outside(model: SliceModel) -> None:
    """CLS is 1 in every second image and -1 in the others; the head knows 1."""
    one = np.ones((1, 1), np.float32)
    fit = FeatureFit(one[0], one, one[0], residual=1.0)
    head = GuardedHead(organ_head("left ventricle"), Distance(inputs=("cls",), limit=0.5, percentile=99.0), fit)
    overlap = answer_by_head(question(), Made(), model, head).scores[0, :, 0]
    assert sorted(overlap > 0.9) == [False] * (PATIENTS // 2) + [True] * (PATIENTS // 2)


def test_a_head_of_body_regions_answers_with_its_probabilities(model: SliceModel) -> None:
    asked = question(**REGIONS)
    predictions = answer_by_head(asked, Made(), model, region_head())
    assert resampled_metric(METRICS["accuracy"], predictions, seed=0)[0] == 1.0
    assert predictions.scores.sum(axis=2).max() < 1.0


def test_only_a_head_whose_labels_are_asked_for_is_asked() -> None:
    ventricle, liver, regions = organ_head("left ventricle"), organ_head("liver"), region_head()
    heads: tuple[Head, ...] = (regions, liver, ventricle)
    assert head_for(heads, question()) is ventricle
    assert head_for(heads, question(modality="CT")) is None
    assert head_for(heads, question(structures=())) is None
    assert head_for((regions, liver), question()) is None
    assert head_for(heads, question(**REGIONS)) is regions
    assert head_for(heads, question(**{**REGIONS, "target": "patient_id"})) is None


def test_statistics_of_pixels_have_no_heads() -> None:
    assert pixel_model().heads == ()
