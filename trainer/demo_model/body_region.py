"""Fitting and measuring the body-region head."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from operators.domain.concepts import TARGET_REGION
from operators.heads.body_region import BodyRegionRecord, slice_features
from operators.heads.linear import Linear
from trainer.demo_model.head_labels import REGIONS
from trainer.features.encoded_scans import EncodedScan, only, without
from trainer.heads.linear import fit_classes

STRENGTH = 1.0

_NAMES = [label.name for label in REGIONS]

Results = dict[tuple[str, str], list[bool]]
"""By patient and region: for each of the series, whether the mean over its slices names the region."""


def fit_body_region(scans: Sequence[EncodedScan]) -> Linear:
    features: list[NDArray[np.float32]] = []
    classes: list[int] = []
    for encoded in scans:
        known = np.array([region is not None for region in encoded.scan.regions])
        features.append(slice_features(encoded.features)[known])
        classes.extend(_NAMES.index(region) for region in encoded.scan.regions if region is not None)
    return fit_classes(
        np.concatenate(features), np.array(classes, np.int64), num_classes=len(_NAMES), strength=STRENGTH
    )


def judge_regions(scans: Sequence[EncodedScan], held_out: frozenset[str]) -> Results:
    """Leave one patient of *held_out* out at a time, where other patients show each of the regions."""
    right: Results = {}
    for patient in sorted({encoded.scan.patient for encoded in only(scans, held_out)}):
        rest = without(scans, frozenset({patient}))
        if _regions(rest) == set(_NAMES):
            right |= _patient_results(only(scans, frozenset({patient})), fit_body_region(rest))
    return right


def measure_body_region(right: Results, unseen: Sequence[EncodedScan], linear: Linear) -> dict[str, float | int | str]:
    """Over all patients, and slices that are never trained or fitted on.

    right : of `judge_regions`, for all patients
    linear : fitted on all patients
    """
    outside = _patient_results(unseen, linear)
    shares = {key: float(np.mean(values)) for key, values in right.items()}
    measured: dict[str, float | int | str] = {
        "protocol": (
            "leave one patient out, also of the encoder's training; each patient's series of one region judged by the "
            "mean over its slices; the three phantoms count as patients of 'other'; chest cannot be measured so, only "
            "one patient shows it"
        ),
        "patients_and_regions": len(right),
        "accuracy": round(float(np.mean(list(shares.values()))), 3),
    }
    for region in _NAMES:
        values = [share for (_, shown), share in shares.items() if shown == region]
        measured |= {f"{region}_patients": len(values)}
        measured |= {f"{region}_accuracy": round(float(np.mean(values)), 3)} if values else {}
    measured["never_fitted_patients"] = len(outside)
    measured["never_fitted_accuracy"] = round(float(np.mean([np.mean(values) for values in outside.values()])), 3)
    return measured


def body_region_record(encoder_sha256: str, measured: dict[str, float | int | str], version: str) -> BodyRegionRecord:
    return BodyRegionRecord(
        task="body-region",
        kind="linear",
        name="body-region",
        version=version,
        encoder_sha256=encoder_sha256,
        modality=("CT", "MR"),
        inputs=("cls", "mean-token"),
        code=TARGET_REGION,
        data=(
            "head: MR of 2 people; chest: CT of 1 person (LIDC-IDRI-0314, the patient of the bundled "
            "demo study, though not its slices); "
            "abdomen: CT of 3 people, MR of 1; extremity: CT and MR of 16 people, cropped around a tumour; "
            "other: pelvis of 1 and shoulders of 1 of the former, and phantoms (noise, clouds, air)"
        ),
        measured=measured,
    )


def _regions(scans: Sequence[EncodedScan]) -> set[str]:
    return {region for encoded in scans for region in encoded.scan.regions if region is not None}


def _patient_results(scans: Sequence[EncodedScan], linear: Linear) -> Results:
    results: Results = {}
    for encoded in scans:
        probabilities = softmax(linear(slice_features(encoded.features)), axis=1)
        for region in _regions([encoded]):
            chosen = np.array([shown == region for shown in encoded.scan.regions])
            likeliest = _NAMES[int(probabilities[chosen].mean(axis=0).argmax())]
            results.setdefault((encoded.scan.patient, region), []).append(likeliest == region)
    return results
