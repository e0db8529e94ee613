"""Fitting and measuring the organ segmentation head."""

from collections.abc import Mapping, Sequence

import numpy as np

from operators.domain.volume import Volume
from operators.heads.dense import DecoderRecord
from operators.heads.evidence import strongest_class
from operators.heads.masks import cleaned
from operators.heads.pixel_decoder import PixelDecoder
from trainer.demo_model.head_labels import ORGANS
from trainer.demo_model.outlines import OutlinedScan, joined
from trainer.evaluation.figures import mean_figure
from trainer.evaluation.overlap import dice
from trainer.heads.outlined_slices import UNKNOWN
from trainer.heads.pixel_decoder import DecoderFit, decode, fit_decoder

FIT = DecoderFit(levels=2)
MINIMUM_VOLUME_ML = 1.0


def fit_organs(scans: Sequence[OutlinedScan]) -> PixelDecoder:
    """Lung and bone against background."""
    return fit_decoder(joined([scan.slices for scan in scans]), FIT, num_classes=len(ORGANS))


def judge_organs(scans: Sequence[OutlinedScan], shown: Sequence[OutlinedScan]) -> dict[str, dict[str, float]]:
    """Dice on the source grid by patient and organ, judged by a head that did not see that patient.

    scans : as they were taken; measured on
    shown : these and others in several framings; fitted on
    """
    figures: dict[str, dict[str, float]] = {}
    for outlined in scans:
        patient = outlined.scan.patient
        figures[patient] = organ_dice(outlined, fit_organs([one for one in shown if one.scan.patient != patient]))
    return figures


def measure_organs(
    figures: Mapping[str, Mapping[str, float]],
    held_out: Sequence[OutlinedScan],
    unseen: Sequence[OutlinedScan],
    decoder: PixelDecoder,
    *,
    seed: int,
) -> dict[str, float | int | str]:
    """Means over people whom the head did not see.

    figures : of `judge_organs`, of the people whose organs are labelled otherwise than by rule
    held_out : people whom neither encoder nor head saw; against the rule
    unseen : of another collection, that is never trained or fitted on; against the rule, which knows no contrast
        medium from bone, so that only lung is compared
    decoder : fitted on all shown people
    """
    measured: dict[str, float | int | str] = {
        "protocol": (
            "people whom neither the encoder nor the head saw, against a rule by HU; TotalSegmentator's two by leaving "
            "each out of the head's fit, whose slices the encoder saw, against its own model's labels; Dice on the "
            "source's grid, intervals by bootstrap over people"
        )
    }
    for organ in (label.name for label in ORGANS):
        measured |= mean_figure(_by_person(held_out, decoder, organ), seed=seed).record(f"{organ}_dice")
        for patient in sorted(figures):
            if organ in figures[patient]:
                measured[f"{organ}_dice_{patient}"] = round(figures[patient][organ], 3)
    chests = [scan for scan in unseen if "chest" in scan.scan.regions]
    return measured | mean_figure(_by_person(chests, decoder, "lung"), seed=seed).record("another_collection_lung_dice")


def organ_dice(outlined: OutlinedScan, decoder: PixelDecoder) -> dict[str, float]:
    """Dice of each organ that the scan's labels show."""
    scan = outlined.scan
    assert scan.organs is not None
    source, evidence = scan.volume.geometry, decode(decoder, outlined.slices)
    _, _, *cells = evidence.shape
    grid = outlined.features.geometry.rescaled((len(evidence), cells[0], cells[1]))
    predicted = strongest_class(tuple(Volume(of_class, grid) for of_class in evidence.swapaxes(0, 1)), source)
    values = {}
    known = scan.organs.array != UNKNOWN
    for number, label in enumerate(ORGANS, start=1):
        true = scan.organs.array == number
        if true.any():
            mask = cleaned(predicted == number, MINIMUM_VOLUME_ML, source) & known
            values[label.name] = float(dice(mask, true))
    return values


def organs_record(encoder_sha256: str, measured: dict[str, float | int | str], version: str) -> DecoderRecord:
    return DecoderRecord(
        task="segmentation",
        kind=FIT.kind,
        name="organs",
        version=version,
        encoder_sha256=encoder_sha256,
        modality=("CT",),
        values=("HU",),
        body_region=("chest", "abdomen"),
        levels=FIT.levels,
        minimum_volume_ml=MINIMUM_VOLUME_ML,
        data=(
            "CT slices of two thirds of TCGA-LUAD's 28 people (lung and, without contrast medium, bone by an HU rule), "
            "TotalSegmentator's two test CT (upper abdomen, labels are its own model's) and LIDC-IDRI-0314 (above "
            "the liver, by the rule; the patient of the bundled demo study, though not its slices); each also in five "
            "other framings. A head for the liver, which two people showed, was left out"
        ),
        measured=measured,
    )


def _by_person(scans: Sequence[OutlinedScan], decoder: PixelDecoder, organ: str) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for scan in scans:
        found = organ_dice(scan, decoder)
        if organ in found:
            values.setdefault(scan.scan.patient, []).append(found[organ])
    return {patient: float(np.mean(of_person)) for patient, of_person in values.items()}
