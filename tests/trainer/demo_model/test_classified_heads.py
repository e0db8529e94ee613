"""The table of a head that classifies, and the head that comes of it, from a made pack of dark and bright pictures."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.demo_model.classified_heads import CLASSIFIED, SHOTS, TABLE, train_classified_head
from trainer.demo_model.held_out import is_held_out

FEW_SHOT = next(head for head in CLASSIFIED if head.name == "brain-tumour-type-few-shot")
WIDTHS = {"glioma": 2, "meningioma": 16, "pituitary": 40}
"""Of the stripes that tell the made classes apart, in pixels."""


def made_pack(folder: Path, people: int) -> None:
    """So many people of each class, two pictures each, and one of each class whose id begins with MR."""
    folder.mkdir(parents=True)
    rows = [("image", "label", "patient_id", "patient_family")]
    generator = np.random.default_rng(0)
    for number in range(people + 1):
        for label, width in WIDTHS.items():
            patient = f"MR{label}" if number == people else f"{number}{label}"
            stripes = (np.arange(128) // width % 2) * 120.0 + 60.0
            for picture in range(2):
                image = stripes[None] + generator.normal(0.0, 8.0, (128, 128))
                name = f"{patient}-{picture}.png"
                Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / name)
                rows.append((name, label, patient, patient))
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the few-shot head of a made pack was trained with the embedded encoder."""
    data, work = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work")
    made_pack(data / "packs/mr_brain_tumour_cheng", people=9)
    folder, measured = train_classified_head(FEW_SHOT, data, Path("app/demo_model/encoder"), work)
    assert folder == work / "head"
    # Stripes of another width are told apart without error.
    assert measured["balanced_accuracy"] == 1.0
    return work


def test_the_table_shows_a_few_of_each_class_and_asks_about_those_held_out(work: Path) -> None:
    with (work / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert not [row for row in rows if "MR" in row["patient_id"].removeprefix("mr_")]
    assert all((row["split"] == "test") == is_held_out(row["patient_id"]) for row in rows)
    for label in WIDTHS:
        shown = [row["patient_id"] for row in rows if row["split"] == "train" and row["class"] == label]
        asked = [row["patient_id"] for row in rows if row["split"] == "test" and row["class"] == label]
        assert len(shown) == len(set(shown)) == min(SHOTS, 9 - len(set(asked)))
        assert asked


def test_the_head_is_one_that_the_application_can_read(work: Path) -> None:
    record = (work / "head/head.toml").read_text()
    assert 'kind = "prototypes"' in record
    assert 'values = ["grey levels", "scanner units"]' in record
    assert (work / "head/card.md").is_file()
