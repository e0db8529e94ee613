"""Fitting and measuring the soft-tissue mass heads, one for CT and one for MR."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from operators.domain.volume import Volume
from operators.heads.finding_head import slice_scores
from operators.heads.head_files import Calibration, FindingRecord, Modality
from operators.heads.linear import Linear
from operators.heads.segmentation import above, cell_evidence
from operators.heads.segments import without_specks
from trainer.encoded_scans import EncodedScan, only, without
from trainer.evaluation import bootstrap_interval, dice, patient_folds
from trainer.head_training import fit_calibration, fit_presence
from trainer.labels import token_fraction

NUM_FOLDS = 4
STRENGTH = 0.01
TOKENS_FROM_EACH_SCAN = 2000
TOP_TOKENS = 20
THRESHOLD = 0.5
MINIMUM_VOLUME_ML = 2.0
MASK_THRESHOLDS = tuple(np.arange(-3.0, 1.01, 0.5).tolist())
SMALLEST_STACK = 3
"""Slices without tumour that make a negative stack."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A scan with the evidence of a head that did not see its patient."""

    encoded: EncodedScan
    evidence: Volume

    @property
    def has_mass(self) -> NDArray[np.bool_]:
        """(S,): slices of which at least half a token is tumour."""
        assert self.encoded.scan.mass is not None
        return np.asarray(token_fraction(self.encoded.scan.mass, self.encoded.features).max(axis=1) >= 0.5)

    def lesion_dice(self, threshold: float) -> float:
        """On the source grid."""
        assert self.encoded.scan.mass is not None
        source = self.encoded.scan.volume.geometry
        mask = without_specks(above(self.evidence, threshold, source), MINIMUM_VOLUME_ML, source)
        return dice(mask, self.encoded.scan.mass.array)


@dataclass(frozen=True, slots=True)
class MassFigures:
    """What the cross-validation of one modality gives; the last three go into the head."""

    measured: dict[str, float | int | str]
    slope: float
    intercept: float
    mask_threshold: float


def fit_mass(scans: Sequence[EncodedScan], *, seed: int) -> Linear:
    """Tumour tokens against all others, the same number of tokens from each scan."""
    rng = np.random.default_rng(seed)
    features, present = [], []
    for encoded in scans:
        assert encoded.scan.mass is not None
        covered = token_fraction(encoded.scan.mass, encoded.features).ravel() >= 0.5
        chosen = rng.choice(len(covered), min(len(covered), TOKENS_FROM_EACH_SCAN), replace=False)
        features.append(encoded.tokens[chosen])
        present.append(covered[chosen])
    return fit_presence(np.concatenate(features), np.concatenate(present), strength=STRENGTH)


def cross_validate_mass(
    scans: Sequence[EncodedScan], *, seed: int, transfer_to: Sequence[EncodedScan] = ()
) -> MassFigures:
    """Patients in folds; every figure is of patients that the head did not see.

    transfer_to : scans of another modality, judged by the heads that were fitted without their patient
    """
    judged: list[Judged] = []
    transferred: list[Judged] = []
    for fold in patient_folds([encoded.scan.patient for encoded in scans], NUM_FOLDS):
        linear = fit_mass(without(scans, fold), seed=seed)
        judged += [_judge(encoded, linear) for encoded in only(scans, fold)]
        transferred += [_judge(encoded, linear) for encoded in only(transfer_to, fold)]
    overlaps = {threshold: [scan.lesion_dice(threshold) for scan in judged] for threshold in MASK_THRESHOLDS}
    scores, positive = _stacks(judged)
    slope, intercept = fit_calibration(scores, positive)
    measured: dict[str, float | int | str] = {
        "protocol": f"{NUM_FOLDS}-fold cross-validation over patients; intervals by bootstrap over patients",
        "patients": len(judged),
        **_with_interval("slice_auc", _slice_aucs(judged), seed=seed),
        **_with_interval("lesion_dice", _nested_dice(overlaps, judged), seed=seed),
        "stack_auc": round(float(roc_auc_score(positive, scores)), 3),
        "stacks_with_mass": int(positive.sum()),
        "stacks_without_mass": int((~positive).sum()),
    }
    if transferred:
        measured |= _with_interval("slice_auc_on_mr", _slice_aucs(transferred), seed=seed)
    return MassFigures(measured, slope, intercept, _best_threshold(overlaps, range(len(judged))))


def mass_record(figures: MassFigures, *, modality: Modality, encoder_sha256: str, version: str) -> FindingRecord:
    return FindingRecord(
        task="finding",
        kind="linear",
        name=f"soft-tissue-mass-{modality.lower()}",
        version=version,
        encoder_sha256=encoder_sha256,
        modality=(modality,),
        body_region=("extremity",),
        inputs=("tokens",),
        top_tokens=TOP_TOKENS,
        calibration=Calibration(slope=figures.slope, intercept=figures.intercept),
        threshold=THRESHOLD,
        mask_threshold=figures.mask_threshold,
        minimum_volume_ml=MINIMUM_VOLUME_ML,
        data=(
            f"{modality} of 16 patients with soft-tissue sarcoma (STS_001 to STS_016), tumours outlined by people. "
            "Every field of view ends 5 cm around the tumour, so that the tumour lies in the middle of each image and "
            "every patient has one: the task is easier than, and unlike, finding a mass in a whole examination. "
            "The calibration compares slices with tumour to slices without it of the same patients"
        ),
        measured=figures.measured,
    )


def _judge(encoded: EncodedScan, linear: Linear) -> Judged:
    return Judged(encoded, cell_evidence(encoded.features, linear, 1)[0])


def _slice_aucs(judged: Sequence[Judged]) -> list[float]:
    """By patient, of those that have slices with and without tumour."""
    aucs = []
    for scan in judged:
        has_mass = scan.has_mass
        if has_mass.any() and not has_mass.all():
            aucs.append(float(roc_auc_score(has_mass, slice_scores(scan.evidence, TOP_TOKENS))))
    return aucs


def _nested_dice(overlaps: Mapping[float, list[float]], judged: Sequence[Judged]) -> list[float]:
    """By patient, the mask threshold chosen on the patients of the other folds."""
    patients = [scan.encoded.scan.patient for scan in judged]
    values = []
    for fold in patient_folds(patients, NUM_FOLDS):
        others = [k for k, patient in enumerate(patients) if patient not in fold]
        threshold = _best_threshold(overlaps, others)
        values += [overlaps[threshold][k] for k, patient in enumerate(patients) if patient in fold]
    return values


def _best_threshold(overlaps: Mapping[float, list[float]], chosen: Sequence[int]) -> float:
    return max(overlaps, key=lambda threshold: float(np.mean([overlaps[threshold][k] for k in chosen])))


def _stacks(judged: Sequence[Judged]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each scan's slices with tumour, and its slices without, as if each were a series: best slice's score."""
    scores, positive = [], []
    for scan in judged:
        by_slice, has_mass = slice_scores(scan.evidence, TOP_TOKENS), scan.has_mass
        for chosen, label in ((has_mass, True), (~has_mass, False)):
            if chosen.sum() >= SMALLEST_STACK:
                scores.append(float(by_slice[chosen].max()))
                positive.append(label)
    return np.array(scores), np.array(positive)


def _with_interval(name: str, values: Sequence[float], *, seed: int) -> dict[str, float | int | str]:
    low, high = bootstrap_interval(values, seed=seed)
    return {
        name: round(float(np.mean(values)), 3),
        f"{name}_95_low": round(low, 3),
        f"{name}_95_high": round(high, 3),
        f"{name}_patients": len(values),
    }
