"""Where a finding's mask begins and how probable it is, chosen on shown people by decoders that did not see them.

About the very people whom it was fitted on a decoder is surer, and better, than it will be about anybody else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from operators.domain.volume import Volume
from operators.heads.finding import Calibration
from operators.heads.pixel_decoder import PixelDecoder
from trainer.demo_model.outlines import OutlinedScan, dice_by_person, evidence_of, fit_outline, slice_answers
from trainer.evaluation.folds import patient_folds
from trainer.heads.linear import fit_calibration
from trainer.heads.pixel_decoder import DecoderFit

FOLDS = 4
THRESHOLDS = tuple(np.arange(-2.0, 2.01, 0.5).tolist())


@dataclass(frozen=True, slots=True)
class FindingChoice:
    """What is chosen.

    threshold : log odds of a decoder, from which its mask has the largest mean Dice
    calibration : from a slice's score, after `begun_at`, to a probability
    """

    threshold: float
    calibration: Calibration


def choose(
    scans: Sequence[OutlinedScan], others: Sequence[OutlinedScan], fit: DecoderFit, *, minimum_volume_ml: float
) -> FindingChoice:
    """By the evidence of `FOLDS` more decoders.

    scans : of everybody
    others : of shown people, moved; fitted on, and not asked about
    """
    asked = list(unseen_evidence(scans, others, fit, folds=FOLDS))
    by_threshold = {t: np.mean(list(dice_by_person(asked, t, minimum_volume_ml).values())) for t in THRESHOLDS}
    threshold = max(by_threshold, key=by_threshold.__getitem__)
    scores, present = slice_answers(asked)
    slope, intercept = fit_calibration(scores - threshold, present)
    return FindingChoice(threshold, Calibration(slope=slope, intercept=intercept))


def unseen_evidence(
    scans: Sequence[OutlinedScan], others: Sequence[OutlinedScan], fit: DecoderFit, *, folds: int
) -> Iterator[tuple[OutlinedScan, Volume]]:
    """Each shown scan with the log odds of a decoder that saw nothing of its person."""
    shown = [scan for scan in scans if not scan.held_out]
    for fold in patient_folds([scan.scan.patient for scan in shown], folds):
        decoder = fit_outline([scan for scan in (*shown, *others) if scan.scan.patient not in fold], fit)
        yield from ((scan, evidence_of(decoder, scan)) for scan in shown if scan.scan.patient in fold)


def begun_at(decoder: PixelDecoder, threshold: float) -> PixelDecoder:
    """The decoder less *threshold*: its mask begins at 0, and a map of its evidence is half as strong there."""
    classes = replace(decoder.classes, bias=decoder.classes.bias - np.float32(threshold))
    return replace(decoder, classes=classes)
