"""Fitting and measuring the body-region head."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from operators.domain.concepts import TARGET_REGION
from operators.domain.features import EncoderInputSettings
from operators.heads.body_region import BodyRegionRecord, slice_features
from operators.heads.linear import Linear
from operators.imaging.encoder_input import make_encoder_input
from trainer.demo_model.head_labels import REGIONS
from trainer.demo_model.held_out import is_held_out
from trainer.evaluation.figures import bootstrap_interval
from trainer.features.scans import Scan
from trainer.features.slice_encoder import SliceEncoder
from trainer.heads.linear import fit_classes

STRENGTH = 1.0
"""Inverse of the L2 penalty; like the threshold chosen by folds of the shown people (docs/demo-model.md)."""
THRESHOLD = 0.65
"""Probability of the likeliest region under which the head says that it is unsure."""

_NAMES = [label.name for label in REGIONS]
MOST_SLICES = 72
"""How many slices of each person and region are fitted on, in all fields of view, so that nobody counts for much."""

_RARE = {"abdomen", "extremity", "other"}
MORE_OF_RARE = 3
"""Narrower fields of view of each scan of regions that a handful of people show; of whole ones alone the head learned
these people's framing."""


@dataclass(frozen=True, slots=True, eq=False)
class RegionScan:
    """A scan's slices as the head sees them.

    features : (S, 2 D)
    regions : of each slice; None where nobody knows
    """

    patient: str
    features: NDArray[np.float32]
    regions: tuple[str | None, ...]


def region_scans(scans: Iterable[Scan], encoder: SliceEncoder, settings: EncoderInputSettings) -> Sequence[RegionScan]:
    """Each scan's CLS and mean token; nothing else of it is kept."""
    return [
        RegionScan(
            scan.patient,
            slice_features(encoder.encode(make_encoder_input(scan.volume, settings))),
            scan.regions,
        )
        for scan in scans
    ]


def fit_body_region(scans: Sequence[RegionScan]) -> Linear:
    """Fit the linear head on at most `MOST_SLICES` slices of each person and region."""
    features: list[NDArray[np.float32]] = []
    classes: list[NDArray[np.int64]] = []
    for (_, region), rows in _by_person_and_region(scans).items():
        chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_SLICES)).astype(int)]
        features.append(chosen)
        classes.append(np.full(len(chosen), _NAMES.index(region)))
    return fit_classes(np.concatenate(features), np.concatenate(classes), num_classes=len(_NAMES), strength=STRENGTH)


def shows_rare_region(scan: Scan) -> bool:
    """Whether any of its slices shows a region that a handful of people show."""
    return not _RARE.isdisjoint(scan.regions)


def measure_body_region(
    scans: Sequence[RegionScan],
    others: Sequence[RegionScan],
    linear: Linear,
    *,
    seed: int,
    tell: Callable[[str], None],
) -> dict[str, float | int | str]:
    """Figures on people whom neither encoder nor head saw; for a region without any, by leaving out one person a fit.

    others : more fields of view of shown people, fitted on and not asked about
    linear : fitted on the shown people and *others*
    """
    held_out = [scan for scan in scans if is_held_out(scan.patient)]
    answers = _answers(held_out, linear)
    measured_regions = {region for _, region in answers}
    few = sorted(
        {scan.patient for scan in scans for region in scan.regions if region and region not in measured_regions}
    )
    shown = [scan for scan in scans if not is_held_out(scan.patient)]
    for patient in few:
        rest = [scan for scan in (*shown, *others) if scan.patient != patient]
        if {region for scan in rest for region in scan.regions if region} == set(_NAMES):
            answers |= _answers([scan for scan in shown if scan.patient == patient], fit_body_region(rest))
            tell(f"body region without {patient}")
    measured: dict[str, float | int | str] = {
        "protocol": (
            "people whom neither the encoder nor the head saw, whole and cropped fields of view; abdomen and other, "
            "which a handful of people show, leaving one of these out of the head's fit alone. A person's slices of "
            f"one region are judged by the mean over them; under a probability of {THRESHOLD} the head is unsure"
        ),
        "people_and_regions": len(answers),
    }
    return measured | _figures(answers, seed=seed)


@dataclass(frozen=True, slots=True)
class _Answer:
    right: bool
    sure: bool


def _figures(answers: dict[tuple[str, str], _Answer], *, seed: int) -> dict[str, float | int | str]:
    found: dict[str, float | int | str] = {}
    recalls = []
    for region in _NAMES:
        of_region = [answer for (_, shown), answer in answers.items() if shown == region]
        found[f"{region}_people"] = len(of_region)
        if of_region:
            recalls.append(float(np.mean([answer.right for answer in of_region])))
            found[f"{region}_accuracy"] = round(recalls[-1], 3)
    low, high = bootstrap_interval([float(answer.right) for answer in answers.values()], seed=seed)
    sure = [answer for answer in answers.values() if answer.sure]
    return {
        "balanced_accuracy": round(float(np.mean(recalls)), 3),
        "accuracy": round(float(np.mean([answer.right for answer in answers.values()])), 3),
        "accuracy_95_low": round(low, 3),
        "accuracy_95_high": round(high, 3),
        "unsure": round(1.0 - len(sure) / len(answers), 3),
        "accuracy_where_sure": round(float(np.mean([answer.right for answer in sure])), 3),
        "sure_and_wrong": sum(not answer.right for answer in sure),
        **found,
    }


def body_region_record(encoder_sha256: str, measured: dict[str, float | int | str], version: str) -> BodyRegionRecord:
    return BodyRegionRecord(
        task="body-region",
        kind="linear",
        name="body-region",
        version=version,
        encoder_sha256=encoder_sha256,
        modality=("CT", "MR"),
        values=("HU", "scanner units", "grey levels"),
        inputs=("cls", "mean-token"),
        code=TARGET_REGION,
        threshold=THRESHOLD,
        data=(
            "two thirds of: brain tumour MR (147 families), hippocampus crops (105), lung nodule CT crops (604 "
            "people), cardiac MR (30), lung-cancer CT (28, the slices that show lung), extremities (23, CT and MR, "
            "cropped around a tumour); abdomen: CT of 3 people, MR of 1; other: pelvis and shoulders of 1 each, and "
            "phantoms (noise, clouds, air); of every other person also a narrower field of view, of extremity, abdomen "
            "and other three more"
        ),
        measured=measured,
    )


def _by_person_and_region(scans: Sequence[RegionScan]) -> dict[tuple[str, str], NDArray[np.float32]]:
    rows: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    for scan in scans:
        for features, region in zip(scan.features, scan.regions, strict=True):
            if region is not None:
                rows.setdefault((scan.patient, region), []).append(features)
    return {key: np.stack(found) for key, found in rows.items()}


def _answers(scans: Sequence[RegionScan], linear: Linear) -> dict[tuple[str, str], _Answer]:
    found = {}
    for (patient, region), rows in _by_person_and_region(scans).items():
        mean = softmax(linear(rows), axis=1).mean(axis=0)
        found[patient, region] = _Answer(_NAMES[int(mean.argmax())] == region, bool(mean.max() >= THRESHOLD))
    return found
