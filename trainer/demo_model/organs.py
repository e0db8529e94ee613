"""Fitting and measuring the organ segmentation head."""

from collections.abc import Mapping, Sequence

import numpy as np

from operators.domain.volume import Volume
from operators.heads.decoder import Decoder
from operators.heads.dense import DecoderRecord
from operators.heads.evidence import strongest_class
from operators.heads.masks import without_specks
from trainer.demo_model.head_labels import ORGANS
from trainer.demo_model.outlines import LEVELS, OutlinedScan, joined
from trainer.evaluation.overlap import dice
from trainer.heads.decoder import DecoderFit, decode, fit_decoder

FIT = DecoderFit(levels=LEVELS, steps=250)
MINIMUM_VOLUME_ML = 1.0


def fit_organs(scans: Sequence[OutlinedScan]) -> Decoder:
    """Lung, liver and bone against background."""
    return fit_decoder(joined([scan.slices for scan in scans]), FIT, num_classes=len(ORGANS))


def judge_organs(scans: Sequence[OutlinedScan], shown: Sequence[OutlinedScan]) -> dict[str, dict[str, float]]:
    """Dice on the source grid by patient and organ, judged by a head that did not see that patient.

    scans : as they were taken; measured on
    shown : the same in several framings; fitted on
    """
    figures: dict[str, dict[str, float]] = {}
    for outlined in scans:
        patient = outlined.scan.patient
        figures[patient] = organ_dice(outlined, fit_organs([one for one in shown if one.scan.patient != patient]))
    return figures


def measure_organs(
    figures: Mapping[str, Mapping[str, float]], unseen: Sequence[OutlinedScan], decoder: Decoder
) -> dict[str, float | int | str]:
    """Means over patients, and the lung's Dice on slices that are never trained or fitted on.

    figures : of `judge_organs`, for all patients
    decoder : fitted on all patients
    """
    measured: dict[str, float | int | str] = {
        "protocol": (
            "leave one patient out of the head's fit, whose slices the encoder saw; Dice on the source grid; lung and "
            "bone of LIDC-IDRI-0314 against a rule"
        )
    }
    for organ in (label.name for label in ORGANS):
        by_patient = {patient: figures[patient][organ] for patient in sorted(figures) if organ in figures[patient]}
        measured[f"{organ}_patients"] = len(by_patient)
        measured[f"{organ}_dice"] = round(float(np.mean(list(by_patient.values()))), 3)
        measured |= {f"{organ}_dice_{patient}": round(value, 3) for patient, value in by_patient.items()}
    return measured | _measure_unseen(unseen, decoder)


def organ_dice(outlined: OutlinedScan, decoder: Decoder) -> dict[str, float]:
    """Dice of each organ that the scan's labels show."""
    scan = outlined.scan
    assert scan.organs is not None
    source, evidence = scan.volume.geometry, decode(decoder, outlined.slices)
    _, _, *cells = evidence.shape
    grid = outlined.features.geometry.rescaled((len(evidence), cells[0], cells[1]))
    predicted = strongest_class(tuple(Volume(of_class, grid) for of_class in evidence.swapaxes(0, 1)), source)
    values = {}
    for number, label in enumerate(ORGANS, start=1):
        true = scan.organs.array == number
        if true.any():
            mask = without_specks(predicted == number, MINIMUM_VOLUME_ML, source)
            values[label.name] = float(dice(mask, true))
    return values


def organs_record(encoder_sha256: str, measured: dict[str, float | int | str], version: str) -> DecoderRecord:
    return DecoderRecord(
        task="segmentation",
        kind="decoder",
        name="organs",
        version=version,
        encoder_sha256=encoder_sha256,
        modality=("CT",),
        values=("HU",),
        body_region=("chest", "abdomen"),
        levels=LEVELS,
        minimum_volume_ml=MINIMUM_VOLUME_ML,
        data=(
            "CT of 3 people: TotalSegmentator's two test CT (upper abdomen, labels are its own model's) and "
            "LIDC-IDRI-0314 (chest above the liver, lung and bone by an HU rule; the patient of the bundled demo "
            "study, though not its slices); each also in five other framings"
        ),
        measured=measured,
    )


def _measure_unseen(unseen: Sequence[OutlinedScan], decoder: Decoder) -> dict[str, float | int | str]:
    """The rule knows no contrast medium from bone, so only lung is compared."""
    by_patient: dict[str, list[float]] = {}
    for outlined in unseen:
        lung = organ_dice(outlined, decoder).get("lung")
        if lung is not None and "chest" in outlined.scan.regions:
            by_patient.setdefault(outlined.scan.patient, []).append(lung)
    return {
        "never_fitted_lung_patients": len(by_patient),
        "never_fitted_lung_dice": round(float(np.mean([np.mean(values) for values in by_patient.values()])), 3),
    }
