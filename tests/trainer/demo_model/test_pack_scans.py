"""Packs made here, in the layout of the real ones."""

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from trainer.demo_model.held_out import DEMO_PATIENT, is_held_out
from trainer.demo_model.pack_scans import (
    MOST_SLICES,
    read_hippocampus_scans,
    read_nodule_scans,
    read_tumour_scans,
)
from trainer.demo_model.packs import pack_stacks


def write_pack(folder: Path, rows: list[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two families with brain tumours, of which one bears two ids; one LIDC patient; five hippocampus crops."""
    rng = np.random.default_rng(0)
    packs = tmp_path / "packs"
    rows = []
    for family, name in (("1", "1A"), ("1", "1B"), ("2", "2")):
        for number in range(MOST_SLICES):
            image, mask = f"{name}/{number}.png", f"{name}/{number}_mask.png"
            outlined = np.zeros((32, 32), bool)
            outlined[4:8, 10 : 12 + number] = True
            save(packs / "mr_brain_tumour_cheng" / image, rng.integers(0, 255, (32, 32), np.uint8))
            save(packs / "mr_brain_tumour_cheng" / mask, outlined)
            rows.append({"image": image, "mask": mask, "patient_id": name, "patient_family": family})
    write_pack(packs / "mr_brain_tumour_cheng", rows)
    votes = np.array([[0, 60, 120, 240]] * 4, np.uint8)
    save(packs / "ct_lung_nodule_lidc/LIDC-IDRI-0001/n0_s0.jpg", np.full((4, 4), 9, np.uint8))
    save(packs / "ct_lung_nodule_lidc/LIDC-IDRI-0001/n0_s0_votes.png", votes)
    row = {"image": "LIDC-IDRI-0001/n0_s0.jpg", "mask_votes": "LIDC-IDRI-0001/n0_s0_votes.png"}
    write_pack(packs / "ct_lung_nodule_lidc", [row | {"patient_id": "LIDC-IDRI-0001"}])
    crops = []
    for number in range(5):
        for kind in ("image", "label"):
            path = packs / f"mr_hippocampus_msd/{kind}{number}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(rng.integers(0, 3, (6, 8, 10)).astype(np.int16), np.eye(4)), path)
        crops.append({"image": f"image{number}.nii.gz", "label": f"label{number}.nii.gz", "patient_id": f"h{number}"})
    write_pack(packs / "mr_hippocampus_msd", crops)
    return tmp_path


def test_a_family_is_one_person_and_its_slices_are_read_evenly(data: Path) -> None:
    one, two = read_tumour_scans(data)
    assert (one.patient, two.patient) == ("mr_brain_tumour_cheng-1", "mr_brain_tumour_cheng-2")
    assert one.volume.geometry.shape == two.volume.geometry.shape == (MOST_SLICES, 32, 32)
    assert two.mass is not None
    assert two.mass.array.sum(axis=(1, 2)).tolist() == [4 * (2 + number) for number in range(MOST_SLICES)]


def test_two_readers_make_a_nodule(data: Path) -> None:
    (scan,) = read_nodule_scans(data)
    assert scan.mass is not None
    assert scan.mass.array[0].tolist() == [[False, False, True, True]] * 4


def test_labels_of_crops_lie_on_their_images_grid(data: Path) -> None:
    scans = list(read_hippocampus_scans(data))
    assert len(scans) == 5
    assert all(scan.mass is not None and scan.mass.geometry.shape == scan.volume.geometry.shape for scan in scans)


def test_stacks_hold_images_alone_and_every_fourth_crop(data: Path) -> None:
    stacks = {(stack.name, stack.patient): stack.files for stack in pack_stacks(data)}
    names = [file.name for files in stacks.values() for file in files]
    assert not [name for name in names if "mask" in name or "votes" in name or "label" in name]
    assert len(stacks["mr_brain_tumour_cheng", "mr_brain_tumour_cheng-1"]) == 2 * MOST_SLICES
    assert [patient for name, patient in stacks if "hippocampus" in name] == [
        "mr_hippocampus_msd-h0",
        "mr_hippocampus_msd-h4",
    ]


def test_a_third_is_held_out_and_the_demo_study_s_patient_is_not() -> None:
    held_out = [is_held_out(f"mr_brain_tumour_cheng-{number}") for number in range(3000)]
    assert 0.3 < np.mean(held_out) < 0.37
    assert not is_held_out(DEMO_PATIENT)
    assert not is_held_out("DTU")
