"""Fitting and measuring the soft-tissue mass heads, one for CT and one for MR."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.evidence import above, cell_evidence
from operators.heads.finding import Calibration, FindingRecord, slice_scores
from operators.heads.linear import Linear
from operators.heads.masks import without_specks
from operators.heads.scope import Modality
from trainer.evaluation.figures import ByPatient, Figure, mean_figure, paired_difference
from trainer.evaluation.overlap import dice
from trainer.features.encoded_scans import EncodedScan
from trainer.features.scans import Scan
from trainer.features.token_labels import token_fraction
from trainer.heads.covered_tokens import STRENGTH, fit_covered_tokens
from trainer.heads.linear import Features, fit_calibration, fit_presence

TOP_TOKENS = 20
THRESHOLD = 0.5
MINIMUM_VOLUME_ML = 2.0
MASK_THRESHOLDS = tuple(np.arange(-3.0, 1.01, 0.5).tolist())
SMALLEST_STACK = 3
"""Slices without tumour that make a negative stack."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A scan with the evidence of heads, and of an encoder, that did not see its patient.

    evidence : of each token, from the token
    slice_evidence : (S,) of each slice, from CLS; a second opinion that is only measured
    """

    scan: Scan
    evidence: Volume
    slice_evidence: NDArray[np.float32]

    @property
    def has_mass(self) -> NDArray[np.bool_]:
        return slices_with_mass(self.scan, self.evidence.geometry)

    def lesion_dice(self, threshold: float) -> float:
        """On the source grid."""
        assert self.scan.mass is not None
        source = self.scan.volume.geometry
        mask = without_specks(above(self.evidence, threshold, source), MINIMUM_VOLUME_ML, source)
        return dice(mask, self.scan.mass.array)


@dataclass(frozen=True, slots=True)
class MassFigures:
    """What the judged patients of one modality give.

    by_patient : of each figure its value for each patient, so that two encoders can be compared patient by patient
    slope, intercept, mask_threshold : what goes into the head
    """

    measured: dict[str, float | int | str]
    by_patient: Mapping[str, ByPatient]
    slope: float
    intercept: float
    mask_threshold: float


def fit_mass(scans: Sequence[EncodedScan], *, seed: int) -> Linear:
    """Tumour tokens against all others, the same number of tokens from each scan."""
    return fit_covered_tokens(map(_covered_tokens, scans), seed=seed)


def fit_slices_with_mass(scans: Sequence[EncodedScan]) -> Linear:
    """Slices with tumour against those without it, from CLS."""
    sparse = [scan.sparse() for scan in scans]
    present = [slices_with_mass(encoded.scan, encoded.features.geometry) for encoded in sparse]
    cls = np.concatenate([encoded.features.cls for encoded in sparse])
    return fit_presence(cls, np.concatenate(present), strength=STRENGTH)


def _covered_tokens(encoded: EncodedScan) -> tuple[Features, NDArray[np.bool_]]:
    sparse = encoded.sparse()
    assert sparse.scan.mass is not None
    return sparse.tokens, token_fraction(sparse.scan.mass, sparse.features.geometry).ravel() >= 0.5


def slices_with_mass(scan: Scan, tokens: Geometry) -> NDArray[np.bool_]:
    """(S,): slices of which at least half a token is tumour."""
    assert scan.mass is not None
    return np.asarray(token_fraction(scan.mass, tokens).max(axis=1) >= 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class MassReadout:
    """The heads of one modality."""

    of_tokens: Linear
    of_slices: Linear

    def judge(self, encoded: EncodedScan) -> Judged:
        features = encoded.features
        return Judged(encoded.scan, cell_evidence(features, self.of_tokens, 1)[0], self.of_slices(features.cls)[:, 0])


def fit_readout(scans: Sequence[EncodedScan], *, seed: int) -> MassReadout:
    return MassReadout(fit_mass(scans, seed=seed), fit_slices_with_mass(scans))


def measure_masses(
    judged: Sequence[Judged],
    folds: Sequence[frozenset[str]],
    *,
    protocol: str,
    seed: int,
    fitted: Sequence[Judged],
    transferred: Sequence[Judged],
) -> MassFigures:
    """Every figure is of patients that neither head nor encoder saw, but for the one of those that they were fitted on.

    fitted : by the heads that were fitted on them
    transferred : scans of MR that a head for CT judged
    """
    overlaps = {
        threshold: {scan.scan.patient: scan.lesion_dice(threshold) for scan in judged} for threshold in MASK_THRESHOLDS
    }
    scores, positive = _stacks(judged)
    slope, intercept = fit_calibration(scores, positive)
    by_patient = {
        "slice_auc": _slice_aucs(judged, _token_scores),
        "lesion_dice": _nested_dice(overlaps, folds),
        "slice_auc_from_cls": _slice_aucs(judged, _cls_scores),
        "lesion_dice_of_the_fitted": _dice_by_patient(fitted, _best_threshold(overlaps, frozenset())),
    }
    if transferred:
        by_patient["slice_auc_on_mr"] = _slice_aucs(transferred, _token_scores)
    measured: dict[str, float | int | str] = {"protocol": protocol, "patients": len(judged)}
    for name, values in by_patient.items():
        measured |= mean_figure(values, seed=seed).record(name)
    measured |= {
        "stack_auc": round(float(roc_auc_score(positive, scores)), 3),
        "stacks_with_mass": int(positive.sum()),
        "stacks_without_mass": int((~positive).sum()),
    }
    return MassFigures(measured, by_patient, slope, intercept, _best_threshold(overlaps, frozenset()))


def compare_masses(
    trained: MassFigures, others: Mapping[str, MassFigures], *, seed: int
) -> dict[str, dict[str, float | int | str]]:
    """Of each other encoder its figures, by how much the trained one is above it, patient by patient, and what to make
    of that: "above" and "below" only where the interval leaves out 0.
    """
    table: dict[str, dict[str, float | int | str]] = {}
    for name, figures in others.items():
        table[name] = {}
        for figure, values in figures.by_patient.items():
            difference = paired_difference(trained.by_patient[figure], values)
            apart = mean_figure(difference, seed=seed)
            table[name] |= mean_figure(values, seed=seed).record(figure)
            table[name] |= apart.record(f"trained_minus_this_{figure}") | {f"trained_{figure}_is": _verdict(apart)}
    return table


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


def _verdict(difference: Figure) -> str:
    if difference.is_above_zero:
        return "above"
    return "below" if difference.is_below_zero else "neither above nor below"


def _token_scores(scan: Judged) -> NDArray[np.float32]:
    return slice_scores(scan.evidence, TOP_TOKENS)


def _cls_scores(scan: Judged) -> NDArray[np.float32]:
    return scan.slice_evidence


def _slice_aucs(judged: Sequence[Judged], scores: Callable[[Judged], NDArray[np.float32]]) -> dict[str, float]:
    """Of patients that have slices with and without tumour."""
    aucs = {}
    for scan in judged:
        has_mass = scan.has_mass
        if has_mass.any() and not has_mass.all():
            aucs[scan.scan.patient] = float(roc_auc_score(has_mass, scores(scan)))
    return aucs


def _nested_dice(overlaps: Mapping[float, ByPatient], folds: Sequence[frozenset[str]]) -> dict[str, float]:
    """The mask threshold is chosen on the patients of the other folds."""
    values: dict[str, float] = {}
    for fold in folds:
        chosen = overlaps[_best_threshold(overlaps, fold)]
        values |= {patient: value for patient, value in chosen.items() if patient in fold}
    return values


def _dice_by_patient(judged: Sequence[Judged], threshold: float) -> dict[str, float]:
    """A patient that several heads were fitted on counts with the mean."""
    values: dict[str, list[float]] = {}
    for scan in judged:
        values.setdefault(scan.scan.patient, []).append(scan.lesion_dice(threshold))
    return {patient: float(np.mean(found)) for patient, found in values.items()}


def _best_threshold(overlaps: Mapping[float, ByPatient], left_out: frozenset[str]) -> float:
    def mean(threshold: float) -> float:
        return float(np.mean([value for patient, value in overlaps[threshold].items() if patient not in left_out]))

    return max(overlaps, key=mean)


def _stacks(judged: Sequence[Judged]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each scan's slices with tumour, and its slices without, as if each were a series: best slice's score."""
    scores, positive = [], []
    for scan in judged:
        by_slice, has_mass = _token_scores(scan), scan.has_mass
        for chosen, label in ((has_mass, True), (~has_mass, False)):
            if chosen.sum() >= SMALLEST_STACK:
                scores.append(float(by_slice[chosen].max()))
                positive.append(label)
    return np.array(scores), np.array(positive)
