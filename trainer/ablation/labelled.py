"""The sarcoma scans as the probes take them, and which of their patients no cell has trained on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from operators.domain.volume import Volume
from trainer.demo_model.open_data import read_sarcoma_scans
from trainer.features.scans import Scan
from trainer.features.token_labels import token_fraction
from trainer.ingest.journal import read_patients
from trainer.ingest.pseudonyms import KEY_FILE, Split, read_or_make_key
from trainer.pretraining.views.crop_boxes import CropBox
from trainer.pretraining.views.crops import zscore
from trainer.pretraining.views.resampling import resample_each


@dataclass(frozen=True, slots=True, eq=False)
class LabelledScan:
    """A scan's slices, and where the tumour is.

    held_out : whether its patient is in the shards' validation part, which no cell sees
    images : (n, 1, S, S) float32, z-scored each
    covered : (n, N) bool, tokens of which the tumour covers at least half
    """

    patient: str
    modality: str
    held_out: bool
    images: Tensor
    covered: Tensor


def read_labelled(data: Path, shards: Path, *, image_size: int, patch_size: int, step: int) -> Iterator[LabelledScan]:
    """Every *step*-th slice of every sarcoma scan."""
    scans = [scan.thinned(step) for scan in read_sarcoma_scans(data)]
    splits = read_splits(shards, {scan.patient for scan in scans})
    for scan in scans:
        yield label_scan(scan, splits[scan.patient], image_size=image_size, patch_size=patch_size)


def label_scan(scan: Scan, split: Split, *, image_size: int, patch_size: int) -> LabelledScan:
    assert scan.mass is not None
    slices = list(_planes(scan.volume))
    images = zscore(resample_each(slices, [CropBox(0, 0, *pixels.shape) for pixels in slices], image_size))
    grid = image_size // patch_size
    tokens = scan.mass.geometry.rescaled((len(images), grid, grid))
    covered = torch.from_numpy(token_fraction(scan.mass, tokens) >= 0.5)
    return LabelledScan(scan.patient, scan.modality, split == "validation", images, covered)


def read_splits(shards: Path, patients: Iterable[str]) -> Mapping[str, Split]:
    """Which part of the shards each patient is in, by the shards' own key and journal.

    patients : identifiers as the DICOM headers have them

    Raises
    ------
    ValueError
        When *shards* is no folder of `ingest`, or a patient is not in it: nobody could tell who was trained on.
    """
    if not (shards / KEY_FILE).exists():
        raise ValueError(f"{shards}: expected a folder that `python -m trainer ingest` wrote, with its {KEY_FILE}")
    pseudonyms = read_or_make_key(shards)
    known = read_patients(shards)
    hashes = {patient: pseudonyms.of("patient", patient, "") for patient in sorted(patients)}
    missing = [patient for patient, name in hashes.items() if name not in known]
    if missing:
        raise ValueError(f"{shards}: expected every labelled patient in the shards, {', '.join(missing)} is not")
    return {patient: known[name] for patient, name in hashes.items()}


def _planes(volume: Volume) -> Iterator[Tensor]:
    for plane in volume.array:
        yield torch.from_numpy(np.ascontiguousarray(plane, np.float32))
