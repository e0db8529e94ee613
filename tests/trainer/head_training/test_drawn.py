"""Heads that draw are trained on label maps, and draw them in the application's reader."""

import tomllib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from safetensors.numpy import load_file

from operators.domain.geometry import Geometry
from operators.encoder.features import Encoder
from operators.heads.head import HeadAnswer, HeadFolder, SeriesFeatures, ask
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
LABEL = {"name": "square", "code": ORGAN, "category": ORGAN}
QUICK = {"hidden": 8, "steps": 60, "batch_size": 6}

DRAWN = {
    "linear": {"task": "segmentation", "kind": "linear", "subdivision": 2},
    "decoder": {"task": "segmentation", "kind": "decoder", "levels": 2},
    "unet": {"task": "segmentation", "kind": "unet", "levels": 2},
}
FINDINGS = {
    "linear": {"task": "finding", "kind": "linear", "top_tokens": 2},
    "decoder": {"task": "finding", "kind": "decoder", "levels": 1, "top_tokens": 2},
    "unet": {"task": "finding", "kind": "unet", "levels": 1, "top_tokens": 2},
}


def made(folder: Path, *, map_shape: tuple[int, int, int] = (64, 64, 3), value: int = 1, every: int = 1) -> Path:
    """Studies of which every so many-th has a bright square somewhere, and its map; their table."""
    rng, rows = np.random.default_rng(2), []
    for number in range(6 * every):
        image, label_map = rng.normal(0, 20, (64, 64, 3)), np.zeros(map_shape, np.uint8)
        shows, has_map = number % every == 0, number % every < 2
        x, y = (16 * int(place) for place in rng.integers(0, 3, 2))
        if shows:
            image[x : x + 32, y : y + 32] += 800
            label_map[x : x + 32, y : y + 32] = value
        nibabel.save(nibabel.Nifti1Image(image.astype(np.int16), AFFINE), folder / f"{number}.nii.gz")
        if has_map:
            nibabel.save(nibabel.Nifti1Image(label_map, AFFINE), folder / f"{number}-map.nii.gz")
        rows.append(f"{number}.nii.gz,p{number},{f'{number}-map.nii.gz' if has_map else ''},{int(shows)}")
    table = folder / "table.csv"
    table.write_text("\n".join(["study,patient_id,mask,square", *rows]) + "\n")
    return table


def trained(table: Path, model_folder: Path, head: dict[str, Any], **more: Any) -> Path:
    record = {
        "model": str(model_folder),
        "folds": 3,
        "decoder": QUICK,
        "head": {"name": "square", "minimum_volume_ml": 0.0} | head,
        "label": [LABEL],
        "columns": {"targets": ["square"] if head["task"] == "finding" else []},
    }
    config = table.with_suffix(".toml")
    config.write_text(to_toml(record | more))
    train_head(config, table, table.parent / "head", None, device="cpu", console=Console(quiet=True))
    return table.parent / "head"


def answer_about(folder: Path, model: Model, study: Path) -> tuple[HeadAnswer, Geometry]:
    """What the application's reader makes of the head."""
    image = read_picture(study)
    encoder_input = make_encoder_input(image, model.snapshot.input_settings)
    features = Encoder(model.snapshot).encode(encoder_input)
    head = read_head(HeadFolder(folder, model.snapshot, folder_digest(folder)))
    series = SeriesFeatures(features, image.geometry, "CT", "1.2", values="HU", encoder_input=encoder_input)
    (answer,) = ask([head], series)
    return answer, image.geometry


def drawn(answer: HeadAnswer, source: Geometry) -> NDArray[np.bool_]:
    (region,) = answer.masks[0].regions(source, with_probabilities=False)
    return region.mask


def measured_of(folder: Path) -> dict[str, Any]:
    return dict(tomllib.loads((folder / "head.toml").read_text())["measured"])


@pytest.mark.parametrize("kind", DRAWN)
def test_squares_are_drawn_where_they_are(model_folder: Path, model: Model, tmp_path: Path, kind: str) -> None:
    folder = trained(made(tmp_path), model_folder, DRAWN[kind])
    answer, source = answer_about(folder, model, tmp_path / "0.nii.gz")
    assert dice(drawn(answer, source), read_picture(tmp_path / "0-map.nii.gz").array == 1) > 0.8
    measured = measured_of(folder)
    assert measured["dice"] > 0.6
    assert measured["dice_patients"] == 6
    assert measured["surface_distance"] < 4.0


@pytest.mark.parametrize("kind", FINDINGS)
def test_a_finding_is_called_present_where_it_is_and_drawn_there(
    model_folder: Path, model: Model, tmp_path: Path, kind: str
) -> None:
    folder = trained(made(tmp_path, every=3), model_folder, FINDINGS[kind])
    for number in (0, 1, 2):
        answer, source = answer_about(folder, model, tmp_path / f"{number}.nii.gz")
        assert answer.findings[0].present is (number == 0)
        if number == 0:
            assert dice(drawn(answer, source), read_picture(tmp_path / "0-map.nii.gz").array == 1) > 0.6
    measured = measured_of(folder)
    assert measured["mean_auc"] > 0.95
    assert measured["dice_patients"] == 6
    card = (folder / "card.md").read_text()
    assert "| square | sensitivity |" in card
    assert "Youden's index, 3 folds of 18 patients | platt |" in card
    (deleted,) = [row for row in card.splitlines() if row.startswith("| square | 5 |")]
    assert float(deleted.split()[-2].rstrip("%")) >= 90


def test_a_decoder_goes_on_with_what_an_earlier_run_left_and_takes_a_new_map_for_new(
    model_folder: Path, tmp_path: Path
) -> None:
    table = made(tmp_path)
    first = load_file(trained(table, model_folder, DRAWN["decoder"]) / "model.safetensors")
    kept = {path: path.stat().st_mtime_ns for path in table.with_suffix(".work").rglob("*.safetensors")}
    again = load_file(trained(table, model_folder, DRAWN["decoder"]) / "model.safetensors")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert all(np.array_equal(first[name], again[name]) for name in first)
    nibabel.save(nibabel.Nifti1Image(np.ones((64, 64, 3), np.uint8), AFFINE), tmp_path / "0-map.nii.gz")
    other = load_file(trained(table, model_folder, DRAWN["decoder"]) / "model.safetensors")
    assert not all(np.array_equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("made_with", "message"),
    [
        ({"map_shape": (64, 64, 2)}, r"row 2: mask: expected the shape of its series \(3, 64, 64\), got \(2, 64, 64\)"),
        ({"value": 7}, "row 2: mask: expected 0 for background or 1 to 1, got 7"),
        ({"every": 3}, "row 4: mask: expected a label map, got nothing"),
    ],
)
def test_a_map_that_does_not_fit_is_named(
    model_folder: Path, tmp_path: Path, made_with: dict[str, Any], message: str
) -> None:
    with pytest.raises(HeadTrainingError, match=message):
        trained(made(tmp_path, **made_with), model_folder, DRAWN["linear"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.nii.gz,p0,1-map.nii.gz,1", "row 2: mask: the row says 1, and the map shows nothing"),
        ("0.nii.gz,p0,0-map.nii.gz,0", "row 2: mask: the row says 0, and the map shows something"),
        ("0.nii.gz,p0,,1", "row 2: mask: expected a label map, got nothing"),
        ("0.nii.gz,p0,0-map.nii.gz,", "row 2: square: expected 1 or 0 of every study, got nothing"),
    ],
)
def test_a_finding_and_its_map_say_the_same(model_folder: Path, tmp_path: Path, row: str, message: str) -> None:
    table = made(tmp_path, every=2)
    header, _, *rest = table.read_text().splitlines()
    table.write_text("\n".join([header, row, *rest]) + "\n")
    with pytest.raises(HeadTrainingError, match=message):
        trained(table, model_folder, FINDINGS["linear"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"label": [{"name": "square", "code": ORGAN}]}, "label: expected one with a category"),
        ({"label": [LABEL, LABEL | {"name": "two"}]}, "label: expected one for a finding, got 2"),
        ({"fit": {"patience": 3}}, "patience: a decoder takes all its steps"),
        ({"calibration": "isotonic"}, "calibration: a finding's is a logistic curve"),
        ({"operating_point": {"rule": "none"}}, "rule: a finding has one"),
    ],
)
def test_what_a_head_that_draws_needs_is_named(
    model_folder: Path, tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(HeadTrainingError, match=message):
        trained(made(tmp_path, every=2), model_folder, FINDINGS["decoder"], **more)
