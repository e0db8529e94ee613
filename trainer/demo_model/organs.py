"""Fitting and measuring the organ segmentation head."""

from collections.abc import Mapping, Sequence

import numpy as np

from operators.heads.evidence import cell_evidence, strongest_class
from operators.heads.linear import Linear
from operators.heads.masks import without_specks
from operators.heads.organs import SegmentationRecord
from trainer.demo_model.head_labels import ORGANS
from trainer.evaluation.overlap import dice
from trainer.features.encoded_scans import EncodedScan, only, without
from trainer.features.token_labels import cell_labels
from trainer.heads.linear import fit_cells

SUBDIVISION = 4
PENALTY = 30.0
BALANCE = 0.5
MINIMUM_VOLUME_ML = 1.0


def fit_organs(scans: Sequence[EncodedScan]) -> Linear:
    tokens = [encoded.tokens for encoded in scans]
    labels = [_labels(encoded).reshape(-1, SUBDIVISION**2) for encoded in scans]
    return fit_cells(
        np.concatenate(tokens), np.concatenate(labels), num_classes=len(ORGANS), penalty=PENALTY, balance=BALANCE
    )


def judge_organs(
    scans: Sequence[EncodedScan], shown: Sequence[EncodedScan], held_out: frozenset[str]
) -> dict[str, dict[str, float]]:
    """Dice on the source grid by patient and organ, judged by a head that did not see that patient.

    scans : as they were taken; measured on
    shown : the same in several framings; fitted on
    held_out : who is judged; the encoder did not see them either
    """
    figures: dict[str, dict[str, float]] = {}
    for encoded in only(scans, held_out):
        patient = encoded.scan.patient
        figures[patient] = organ_dice(encoded, fit_organs(without(shown, frozenset({patient}))))
    return figures


def measure_organs(
    figures: Mapping[str, Mapping[str, float]], unseen: Sequence[EncodedScan], linear: Linear
) -> dict[str, float | int | str]:
    """Means over patients, and the lung's Dice on slices that are never trained or fitted on.

    figures : of `judge_organs`, for all patients
    linear : fitted on all patients
    """
    measured: dict[str, float | int | str] = {
        "protocol": (
            "leave one patient out, also of the encoder's training; Dice on the source grid; lung and bone of "
            "LIDC-IDRI-0314 against a rule"
        )
    }
    for organ in (label.name for label in ORGANS):
        by_patient = {patient: figures[patient][organ] for patient in sorted(figures) if organ in figures[patient]}
        measured[f"{organ}_patients"] = len(by_patient)
        measured[f"{organ}_dice"] = round(float(np.mean(list(by_patient.values()))), 3)
        measured |= {f"{organ}_dice_{patient}": round(value, 3) for patient, value in by_patient.items()}
    return measured | _measure_unseen(unseen, linear)


def organ_dice(encoded: EncodedScan, linear: Linear) -> dict[str, float]:
    """Of each organ that the scan's labels show."""
    assert encoded.scan.organs is not None
    source = encoded.scan.volume.geometry
    predicted = strongest_class(cell_evidence(encoded.features, linear, SUBDIVISION), source)
    values = {}
    for number, label in enumerate(ORGANS, start=1):
        true = encoded.scan.organs.array == number
        if true.any():
            mask = without_specks(predicted == number, MINIMUM_VOLUME_ML, source)
            values[label.name] = dice(mask, true)
    return values


def organs_record(encoder_sha256: str, measured: dict[str, float | int | str], version: str) -> SegmentationRecord:
    return SegmentationRecord(
        task="segmentation",
        kind="linear",
        name="organs",
        version=version,
        encoder_sha256=encoder_sha256,
        modality=("CT",),
        body_region=("chest", "abdomen"),
        inputs=("tokens",),
        subdivision=SUBDIVISION,
        minimum_volume_ml=MINIMUM_VOLUME_ML,
        data=(
            "CT of 3 people: TotalSegmentator's two test CT (upper abdomen, labels are its own model's) and "
            "LIDC-IDRI-0314 (chest above the liver, lung and bone by an HU rule; the patient of the bundled demo "
            "study, though not its slices); each also in five other framings"
        ),
        measured=measured,
    )


def _labels(encoded: EncodedScan) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    assert encoded.scan.organs is not None
    return cell_labels(encoded.scan.organs, encoded.features.geometry, SUBDIVISION)


def _measure_unseen(unseen: Sequence[EncodedScan], linear: Linear) -> dict[str, float | int | str]:
    """The rule knows no contrast medium from bone, so only lung is compared."""
    by_patient: dict[str, list[float]] = {}
    for encoded in unseen:
        lung = organ_dice(encoded, linear).get("lung")
        if lung is not None and "chest" in encoded.scan.regions:
            by_patient.setdefault(encoded.scan.patient, []).append(lung)
    return {
        "never_fitted_lung_patients": len(by_patient),
        "never_fitted_lung_dice": round(float(np.mean([np.mean(values) for values in by_patient.values()])), 3),
    }
