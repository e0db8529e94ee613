"""Fitting and measuring heads that outline something: a finding or a part of the body."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import EncoderInputSettings, FeatureVolume
from operators.domain.volume import Volume
from operators.heads.ensemble import Member
from operators.heads.evidence import above
from operators.heads.finding import slice_scores
from operators.heads.masks import cleaned
from operators.heads.pixel_decoder import PixelDecoder
from operators.imaging.encoder_input import make_encoder_input
from trainer.demo_model.cases import Case
from trainer.demo_model.held_out import is_held_out
from trainer.demo_model.scope_of_outlines import FittedScope, fit_scope, series_vector
from trainer.evaluation.figures import mean_figure
from trainer.evaluation.overlap import dice
from trainer.evaluation.predictions import weighted_auc
from trainer.features.scans import Scan
from trainer.features.slice_encoder import SliceEncoder
from trainer.features.token_labels import cell_labels
from trainer.heads.outlined_slices import OutlinedSlices
from trainer.heads.pixel_decoder import DecoderFit, decode, fit_decoder

TOP_TOKENS = 4


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedScan:
    """A scan with what a decoder reads of it."""

    scan: Scan
    features: FeatureVolume
    slices: OutlinedSlices

    @property
    def levels(self) -> int:
        """Times that the grid of tokens is doubled."""
        _, rows, _ = self.features.geometry.shape
        return int(self.slices.classes.shape[1] // rows).bit_length() - 1

    @property
    def held_out(self) -> bool:
        """Whether neither encoder nor heads saw the person."""
        return is_held_out(self.scan.patient)


@dataclass(frozen=True, slots=True)
class OutlineFigures:
    """What held-out people give.

    cases : the best and the worst of them
    scope : of the shown people
    """

    measured: dict[str, float | int | str]
    cases: tuple[Case, ...]
    scope: FittedScope


def outlined_scans(
    scans: Iterator[Scan], encoder: SliceEncoder, settings: EncoderInputSettings, *, levels: int
) -> Iterator[OutlinedScan]:
    """Encode scans whose mass or organs somebody outlined; tokens are kept in half precision.

    levels : times that the grid of tokens is doubled for a decoder
    """
    cells_along = 2**levels
    for scan in scans:
        outlined_there = scan.mass or scan.organs
        assert outlined_there is not None
        encoder_input = make_encoder_input(scan.volume, settings)
        features = encoder.encode(encoder_input)
        _, rows, columns = features.geometry.shape
        factor = settings.image_size // (rows * cells_along)
        images = np.concatenate([_averaged(block[:, 0], factor) for block in encoder_input.blocks(0, 16)])
        classes = cell_labels(outlined_there.astype(np.uint8), features.geometry, cells_along)
        cells = classes.reshape(len(classes), rows, columns, cells_along, cells_along).transpose(0, 1, 3, 2, 4)
        outlined = OutlinedSlices(
            features.tokens.astype(np.float16),
            images.astype(np.float16),
            cells.reshape(images.shape),
            np.full(len(images), scan.patient),
        )
        yield OutlinedScan(scan, FeatureVolume(features.cls, outlined.tokens, features.geometry), outlined)


def fit_outline(scans: Sequence[OutlinedScan], fit: DecoderFit) -> Member:
    """One class against background, on the shown people alone."""
    return fit_decoder(joined([scan.slices for scan in scans if not scan.held_out]), fit, num_classes=1)


def joined(slices: Sequence[OutlinedSlices]) -> OutlinedSlices:
    """All of them, one after the other."""
    parts = (
        np.concatenate([getattr(some, name) for some in slices]) for name in ("tokens", "images", "classes", "people")
    )
    return OutlinedSlices(*parts)


def measure_outline(
    decoder: PixelDecoder, scans: Sequence[OutlinedScan], *, minimum_volume_ml: float, seed: int
) -> OutlineFigures:
    """Dice on the source's grid by person, over all of a person's slices that were read; masks begin at log odds 0."""
    judged = [(scan, evidence_of(decoder, scan)) for scan in scans if scan.held_out]
    by_person = dice_by_person(judged, 0.0, minimum_volume_ml)
    measured: dict[str, float | int | str] = {
        "protocol": (
            "people whom neither the encoder nor the head saw; Dice on the source's grid over all of a person's slices "
            "that were read, with and without anything to outline; intervals by bootstrap over people"
        )
    }
    measured |= mean_figure(by_person, seed=seed).record("dice")
    measured |= _slice_auc(judged, seed=seed)
    cases = tuple(_cases(judged, by_person, minimum_volume_ml))
    shown = [scan for scan in scans if not scan.held_out]
    scope = fit_scope([series_vector(scan.features) for scan in shown], [scan.scan.patient for scan in shown])
    near = [scope.fit.distance(series_vector(scan.features)) <= scope.limits.limit for scan, _ in judged]
    measured["in_scope"] = round(float(np.mean(near)), 3)
    return OutlineFigures(measured, cases, scope)


def evidence_of(decoder: PixelDecoder, scan: OutlinedScan) -> Volume:
    """Log odds on the decoder's finest grid."""
    evidence = decode(decoder, scan.slices)[:, 0]
    return Volume(evidence, scan.features.geometry.rescaled(evidence.shape))


def dice_by_person(
    judged: Sequence[tuple[OutlinedScan, Volume]], threshold: float, minimum_volume_ml: float
) -> dict[str, float]:
    """One value for each person; of several scans the mean."""
    values: dict[str, list[float]] = {}
    for scan, evidence in judged:
        assert scan.scan.mass is not None
        source = scan.scan.volume.geometry
        if scan.scan.mass.array.any():
            mask = cleaned(above(evidence, threshold, source), minimum_volume_ml, source)
            values.setdefault(scan.scan.patient, []).append(dice(mask, scan.scan.mass.array))
    return {patient: float(np.mean(found)) for patient, found in values.items()}


def _cases(
    judged: Sequence[tuple[OutlinedScan, Volume]],
    by_person: Mapping[str, float],
    minimum_volume_ml: float,
) -> Iterator[Case]:
    """For the best and the worst person the slice that shows most."""
    if not by_person:
        return
    for choose in (max, min):
        patient = choose(by_person, key=by_person.__getitem__)
        scan, evidence = next(one for one in judged if one[0].scan.patient == patient and one[0].scan.has_mass)
        assert scan.scan.mass is not None
        source = scan.scan.volume.geometry
        true = np.asarray(scan.scan.mass.array)
        place = int(true.sum(axis=(1, 2)).argmax())
        found = cleaned(above(evidence, 0.0, source), minimum_volume_ml, source)
        image = np.asarray(scan.scan.volume.array[place], np.float32)
        _, row, column = (float(step) for step in source.spacing)
        yield Case(f"Dice {by_person[patient]:.2f}", image, true[place], found[place], (row, column))


def slice_answers(judged: Sequence[tuple[OutlinedScan, Volume]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For every slice its score, and whether it shows anything."""
    scores = [slice_scores(evidence, TOP_TOKENS * 4**scan.levels) for scan, evidence in judged]
    present = [scan.slices.classes.reshape(len(scan.slices), -1).any(axis=1) for scan, _ in judged]
    return np.concatenate(scores).astype(np.float64), np.concatenate(present)


def _slice_auc(judged: Sequence[tuple[OutlinedScan, Volume]], *, seed: int) -> dict[str, float | int]:
    """The area under the curve of people with slices that show it and slices that do not."""
    values = {}
    for scan, evidence in judged:
        scores, present = slice_answers([(scan, evidence)])
        if present.any() and not present.all():
            values[scan.scan.patient] = float(weighted_auc(scores, present, np.ones((1, len(scores))))[0])
    return mean_figure(values, seed=seed).record("slice_auc") if values else {}


def _averaged(images: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    count, height, width = images.shape
    blocks = images.reshape(count, height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(2, 4)), np.float32)
