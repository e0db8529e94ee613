"""A finding's decoders, where their mask begins and how probable it is, with a part of the people left out in turn.

About the very people whom it was fitted on a decoder is surer, and better, than it will be about anybody else. So each
of `FOLDS` decoders is asked about people whom it did not see. Their ensemble is what is used, as in nnU-Net (Isensee et
al. 2021).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from operators.domain.volume import Volume
from operators.heads.ensemble import Ensemble, Member
from operators.heads.finding import Calibration
from trainer.demo_model.outlines import OutlinedScan, dice_by_person, evidence_of, fit_outline, slice_answers
from trainer.evaluation.folds import patient_folds
from trainer.heads.linear import fit_calibration
from trainer.heads.pixel_decoder import DecoderFit

FOLDS = 4
THRESHOLDS = tuple(np.arange(-2.0, 2.01, 0.5).tolist())


@dataclass(frozen=True, slots=True, eq=False)
class FoldDecoder:
    """A decoder, and the shown people whom it did not see."""

    decoder: Member
    left_out: frozenset[str]


@dataclass(frozen=True, slots=True)
class FindingChoice:
    """What is chosen.

    threshold : log odds of a decoder, from which its mask has the largest mean Dice
    calibration : from a slice's score, after `begun_at`, to a probability
    """

    threshold: float
    calibration: Calibration


def fit_folds(
    scans: Sequence[OutlinedScan], others: Sequence[OutlinedScan], fit: DecoderFit, *, folds: int = FOLDS
) -> list[FoldDecoder]:
    """One decoder for each part of the shown people, fitted on the rest.

    scans : of everybody
    others : of shown people, moved; fitted on, and not asked about
    """
    shown = [scan for scan in scans if not scan.held_out]
    return [
        FoldDecoder(fit_outline([s for s in (*shown, *others) if s.scan.patient not in fold], fit), frozenset(fold))
        for fold in patient_folds([scan.scan.patient for scan in shown], folds)
    ]


def choose(fitted: Sequence[FoldDecoder], scans: Sequence[OutlinedScan], *, minimum_volume_ml: float) -> FindingChoice:
    """By what each decoder says of the people whom it did not see."""
    asked = list(unseen_evidence(fitted, scans))
    by_threshold = {t: np.mean(list(dice_by_person(asked, t, minimum_volume_ml).values())) for t in THRESHOLDS}
    threshold = max(by_threshold, key=by_threshold.__getitem__)
    scores, present = slice_answers(asked)
    slope, intercept = fit_calibration(scores - threshold, present)
    return FindingChoice(threshold, Calibration(slope=slope, intercept=intercept))


def unseen_evidence(
    fitted: Sequence[FoldDecoder], scans: Sequence[OutlinedScan]
) -> Iterator[tuple[OutlinedScan, Volume]]:
    """Each shown scan with the log odds of the decoder that saw nothing of its person."""
    for fold in fitted:
        yield from ((scan, evidence_of(fold.decoder, scan)) for scan in scans if scan.scan.patient in fold.left_out)


def ensemble_of(fitted: Sequence[FoldDecoder], threshold: float) -> Ensemble:
    """Of all, each begun at *threshold*."""
    return Ensemble(tuple(begun_at(fold.decoder, threshold) for fold in fitted))


def begun_at(decoder: Member, threshold: float) -> Member:
    """The decoder less *threshold*: its mask begins at 0, and a map of its evidence is half as strong there."""
    classes = replace(decoder.classes, bias=decoder.classes.bias - np.float32(threshold))
    return replace(decoder, classes=classes)
