"""The packs as scans: a person's pictures of one pack on top of each other, with what somebody outlined in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.domain.volume import Volume
from operators.heads.scope import Region
from operators.imaging.encoder_input import orient_for_encoder
from trainer.demo_model.lung_and_bone import BONE, BONE_ABOVE_HU, LUNG, lung_and_bone_by_rule
from trainer.demo_model.packs import pack_rows, person
from trainer.features.scans import Scan
from trainer.heads.outlined_slices import UNKNOWN
from trainer.ingest.nifti import read_nifti
from trainer.ingest.pictures import flat_volume, read_picture, read_pixels

MOST_SLICES = 8
"""How many pictures of one person are read, evenly from all there are."""

DRAWN = 1
"""Mask pictures hold 0 outside."""

TWO_READERS = 120
"""Votes count 60 a reader."""

BODY_ABDOMEN = ("0011", "0022", "0041", "0043", "0073", "0078", "0080", "0084", "0085", "0086", "0094")
BODY_OTHER = ("0051", "0076", "0087")
"""Numbers of TCGA-LUAD's pictures of the abdomen, and of neck, shoulders or pelvis, told by looking at all of them."""


def read_tumour_scans(data: Path, *, most: int = MOST_SLICES) -> Iterator[Scan]:
    """Brain tumours, MR, grey levels; Cheng's."""
    return _pictures(data, "mr_brain_tumour_cheng", "mask", "MR", "head", above=DRAWN, most=most)


def read_ventricle_scans(data: Path) -> Iterator[Scan]:
    """The left ventricle's cavity in short-axis cine, MR, grey levels; Sunnybrook's."""
    return _pictures(data, "mr_heart_sunnybrook", "mask", "MR", "chest", above=DRAWN, most=18)


def read_nodule_scans(data: Path) -> Iterator[Scan]:
    """Lung nodules that two readers or more outlined, CT crops, grey levels; LIDC-IDRI's."""
    return _pictures(data, "ct_lung_nodule_lidc", "mask_votes", "CT", "chest", above=TWO_READERS, most=2)


def read_hippocampus_scans(data: Path) -> Iterator[Scan]:
    """The hippocampus in T1 crops, MR, scanner units; every fifth slice of the Decathlon's."""
    folder = data / "packs/mr_hippocampus_msd"
    for row in pack_rows(folder):
        volume, labels = (orient_for_encoder(read_nifti(folder / row[name])) for name in ("image", "label"))
        scan = _scan(volume.astype(np.float32), person(folder.name, row), "MR", "head")
        yield replace(scan, mass=Volume(labels.array > 0, scan.volume.geometry)).thinned(5)


def read_pair_scans(data: Path) -> Iterator[Scan]:
    """Brain tumours at two dates, MR, scanner units; every third slice of Brain-Tumor-Progression's."""
    folder = data / "packs/mr_brain_progression_pairs"
    for row in pack_rows(folder):
        for date in ("pre", "post"):
            volume, labels = (orient_for_encoder(read_nifti(folder / row[name])) for name in (date, f"{date}_mask"))
            scan = _scan(volume.astype(np.float32), person(folder.name, row), "MR", "head")
            mass = Volume(labels.array > 0, scan.volume.geometry)
            yield replace(scan, name=f"{scan.name} {date}", mass=mass).thinned(3)


def read_body_scans(data: Path) -> Iterator[Scan]:
    """CT slices from neck to pelvis in HU, TCGA-LUAD's, with lung and bone by rule.

    The rule knows neither bowel gas from lung nor contrast medium from bone: there nobody knows.
    """
    folder = data / "packs/ct_body_luad"
    for row in pack_rows(folder):
        number = row["image"].split("_")[1]
        region: Region = "abdomen" if number in BODY_ABDOMEN else "other" if number in BODY_OTHER else "chest"
        scan = _scan(read_picture(folder / row["image"]), person(folder.name, row), "CT", region)
        organs = lung_and_bone_by_rule(scan.volume).array
        unknown = ((scan.volume.array > BONE_ABOVE_HU) | (organs == BONE)) & (row["contrast"] != "0")
        if region != "chest":
            unknown |= organs == LUNG
        yield replace(scan, organs=Volume(np.where(unknown, np.uint8(UNKNOWN), organs), scan.volume.geometry))


def _pictures(
    data: Path, pack: str, mask: str, modality: str, region: Region, *, above: int, most: int = MOST_SLICES
) -> Iterator[Scan]:
    folder = data / "packs" / pack
    people: dict[str, list[dict[str, str]]] = {}
    for row in pack_rows(folder):
        people.setdefault(person(pack, row), []).append(row)
    for name, rows in people.items():
        for images in _alike(_evenly(rows, most), folder):
            pixels = np.stack([read_pixels((folder / row["image"]).read_bytes()) for row in images])
            inside = np.stack([read_pixels((folder / row[mask]).read_bytes()) >= above for row in images])
            scan = _scan(flat_volume(pixels), name, modality, region)
            yield replace(scan, mass=Volume(inside, scan.volume.geometry))


def _alike(rows: Sequence[Mapping[str, str]], folder: Path) -> Iterator[list[Mapping[str, str]]]:
    """Rows whose pictures have one size."""
    sizes: dict[tuple[int, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        sizes.setdefault(read_pixels((folder / row["image"]).read_bytes()).shape, []).append(row)
    yield from sizes.values()


def _scan(volume: Volume, patient: str, modality: str, region: Region) -> Scan:
    return Scan(patient, "packs", modality, volume, (region,) * volume.geometry.shape[0])


def _evenly(rows: Sequence[dict[str, str]], most: int) -> list[dict[str, str]]:
    chosen: NDArray[np.int64] = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)
    return [rows[k] for k in chosen]
