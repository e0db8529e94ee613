"""A head that draws is trained on label maps, and draws them in the application's reader."""

import tomllib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from rich.console import Console

from operators.encoder.features import Encoder
from operators.heads.head import HeadFolder, SeriesFeatures, ask
from operators.heads.kinds import read_head
from operators.imaging.encoder_input import make_encoder_input
from operators.model.digests import folder_digest
from operators.model.model_folder import Model
from trainer.evaluation.overlap import dice
from trainer.export.model_folder import to_toml
from trainer.head_training.command import train_head
from trainer.head_training.errors import HeadTrainingError
from trainer.ingest.pictures import read_picture

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
ORGAN = {"value": "1", "scheme": "99X", "meaning": "organ"}


def made(folder: Path, *, map_shape: tuple[int, int, int] = (64, 64, 3), value: int = 1) -> Path:
    """Six studies with a bright square whose place differs, and maps of it; their table."""
    rng, rows = np.random.default_rng(2), []
    for number in range(6):
        image, label_map = rng.normal(0, 20, (64, 64, 3)), np.zeros(map_shape, np.uint8)
        x, y = (16 * int(place) for place in rng.integers(0, 3, 2))
        image[x : x + 32, y : y + 32] += 800
        label_map[x : x + 32, y : y + 32] = value
        nibabel.save(nibabel.Nifti1Image(image.astype(np.int16), AFFINE), folder / f"{number}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label_map, AFFINE), folder / f"{number}-map.nii.gz")
        rows.append(f"{number}.nii.gz,p{number},{number}-map.nii.gz")
    table = folder / "table.csv"
    table.write_text("\n".join(["study,patient_id,mask", *rows]) + "\n")
    return table


def trained(table: Path, model_folder: Path, **more: Any) -> Path:
    label = {"name": "square", "code": ORGAN, "category": ORGAN}
    head = {"task": "segmentation", "kind": "linear", "name": "square", "subdivision": 2, "minimum_volume_ml": 0.0}
    record = {
        "model": str(model_folder),
        "folds": 3,
        "fit": {"penalties": [0.001, 0.1]},
        "head": head,
        "label": [label],
    }
    config = table.with_suffix(".toml")
    config.write_text(to_toml(record | more))
    train_head(config, table, table.parent / "head", None, device="cpu", console=Console(quiet=True))
    return table.parent / "head"


def test_squares_are_drawn_where_they_are(model_folder: Path, model: Model, tmp_path: Path) -> None:
    folder = trained(made(tmp_path), model_folder)
    image, true = read_picture(tmp_path / "0.nii.gz"), read_picture(tmp_path / "0-map.nii.gz")
    features = Encoder(model.snapshot).encode(make_encoder_input(image, model.snapshot.input_settings))
    head = read_head(HeadFolder(folder, model.snapshot, folder_digest(folder)))
    (answer,) = ask([head], SeriesFeatures(features, image.geometry, "CT", "1.2"))
    (region,) = answer.masks[0].regions(image.geometry, with_probabilities=False)
    assert dice(region.mask, true.array == 1) > 0.8
    measured = tomllib.loads((folder / "head.toml").read_text())["measured"]
    assert measured["dice"] > 0.6
    assert measured["dice_patients"] == 6


@pytest.mark.parametrize(
    ("made_with", "message"),
    [
        ({"map_shape": (64, 64, 2)}, r"row 2: mask: expected the shape of its series \(3, 64, 64\), got \(2, 64, 64\)"),
        ({"value": 7}, "row 2: mask: expected 0 for background or 1 to 1, got 7"),
    ],
)
def test_a_map_that_does_not_fit_is_named(
    model_folder: Path, tmp_path: Path, made_with: dict[str, Any], message: str
) -> None:
    with pytest.raises(HeadTrainingError, match=message):
        trained(made(tmp_path, **made_with), model_folder)


def test_a_segment_needs_a_category(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadTrainingError, match="label: expected one with a category"):
        trained(made(tmp_path), model_folder, label=[{"name": "square", "code": ORGAN}])
