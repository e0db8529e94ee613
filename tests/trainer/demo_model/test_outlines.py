"""Discs that pixels tell, outlined in people whom the fit did not see."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from operators.domain.features import EncoderInputSettings
from operators.domain.volume import Volume
from operators.heads.pixel_decoder import DecoderKind
from trainer.demo_model.cropped import cropped
from trainer.demo_model.finding_choice import THRESHOLDS, begun_at, choose, ensemble_of, fit_folds, unseen_evidence
from trainer.demo_model.held_out import is_held_out
from trainer.demo_model.moved import moved
from trainer.demo_model.outlines import (
    OutlinedScan,
    dice_by_person,
    evidence_of,
    fit_outline,
    measure_outline,
    outlined_scans,
    slice_answers,
)
from trainer.demo_model.scope_of_outlines import fit_scope
from trainer.features.pixel_statistics import PixelStatistics
from trainer.features.scans import Scan
from trainer.heads.pixel_decoder import DecoderFit
from trainer.ingest.pictures import flat_volume

SETTINGS = EncoderInputSettings(image_size=128)
PEOPLE = 12


def disc_scans() -> Iterator[Scan]:
    rows, columns = np.ogrid[:128, :128]
    for number in range(PEOPLE):
        rng = np.random.default_rng(number)
        discs = np.zeros((4, 128, 128), bool)
        for disc in discs[1:]:
            row, column = rng.integers(30, 98, 2)
            disc[:] = (rows - row) ** 2 + (columns - column) ** 2 < rng.integers(14, 26) ** 2
        volume = flat_volume((200.0 * discs + rng.normal(0, 20, discs.shape)).astype(np.float32))
        scan = Scan(f"mr_person-{number}", "packs", "MR", volume, ("head",) * 4)
        yield replace(scan, mass=Volume(discs, volume.geometry))


@pytest.fixture(scope="module")
def scans() -> list[OutlinedScan]:
    return list(outlined_scans(disc_scans(), PixelStatistics(16), SETTINGS, levels=2))


def test_people_whom_nobody_saw_are_outlined_and_measured(scans: list[OutlinedScan]) -> None:
    fit = DecoderFit(levels=2, hidden=8, steps=150, batch_size=4)
    figures = measure_outline(fit_outline(scans, fit), scans, minimum_volume_ml=0.01, seed=0)
    held_out = [scan for scan in scans if is_held_out(scan.scan.patient)]
    assert 0 < len(held_out) < PEOPLE
    assert figures.measured["dice_patients"] == len(held_out)
    assert float(figures.measured["dice"]) > 0.85
    assert float(figures.measured["slice_auc"]) == 1.0
    assert float(figures.measured["in_scope"]) > 0.5
    best, worst = figures.cases
    assert best.title >= worst.title
    assert best.found.shape == best.true.shape == (128, 128)


def test_each_shown_person_is_asked_of_a_decoder_that_did_not_see_them(scans: list[OutlinedScan]) -> None:
    fit = DecoderFit(levels=2, hidden=8, steps=20, batch_size=4)
    shown = [scan for scan in scans if not scan.held_out]
    without = shown[0].scan.patient
    others = [replace(scan, scan=replace(scan.scan, name="moved")) for scan in shown]
    answers = list(unseen_evidence(fit_folds(scans, others, fit, folds=len(shown)), scans))
    assert sorted(scan.scan.patient for scan, _ in answers) == sorted(scan.scan.patient for scan in shown)
    evidence = next(evidence for scan, evidence in answers if scan.scan.patient == without)
    decoder = fit_outline([scan for scan in (*shown, *others) if scan.scan.patient != without], fit)
    np.testing.assert_array_equal(evidence.array, evidence_of(decoder, shown[0]).array)


def test_a_mask_begins_and_a_probability_is_told_where_strangers_taught_it(scans: list[OutlinedScan]) -> None:
    fit = DecoderFit(levels=2, hidden=8, steps=150, batch_size=4)
    fitted = fit_folds(scans, [], fit)
    choice = choose(fitted, scans, minimum_volume_ml=0.01)
    asked = list(unseen_evidence(fitted, scans))
    dice = {t: np.mean(list(dice_by_person(asked, t, 0.01).values())) for t in THRESHOLDS}
    assert dice[choice.threshold] == max(dice.values()) > min(dice.values())
    # Of people whom nobody saw, slices without a disc are improbable and those with one are not.
    decoder = ensemble_of(fitted, choice.threshold)
    scores, present = slice_answers([(scan, evidence_of(decoder, scan)) for scan in scans if scan.held_out])
    probability = expit(choice.calibration.slope * scores + choice.calibration.intercept)
    assert probability[present].min() > 0.5 > probability[~present].max()


@pytest.mark.parametrize("kind", ["decoder", "unet"])
def test_a_decoder_begun_elsewhere_is_as_much_surer(kind: DecoderKind, scans: list[OutlinedScan]) -> None:
    decoder = fit_outline(scans, DecoderFit(kind=kind, levels=2, hidden=8, steps=3, batch_size=4))
    whole, begun = (np.asarray(evidence_of(one, scans[0]).array) for one in (decoder, begun_at(decoder, -1.5)))
    np.testing.assert_allclose(begun, whole + 1.5, atol=1e-4)


def test_a_findings_decoders_are_averaged(scans: list[OutlinedScan]) -> None:
    fitted = fit_folds(scans, [], DecoderFit(kind="unet", levels=2, hidden=8, steps=3, batch_size=4), folds=2)
    mean = np.mean([evidence_of(fold.decoder, scans[0]).array for fold in fitted], axis=0)
    np.testing.assert_allclose(evidence_of(ensemble_of(fitted, -1.5), scans[0]).array, mean + 1.5, atol=1e-4)


def test_a_scope_holds_its_people_and_rules_out_others() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 12)).astype(np.float32)
    scope = fit_scope(list(vectors), [f"p{number // 2}" for number in range(60)])
    inside = [scope.fit.distance(vector) <= scope.limits.limit for vector in rng.normal(size=(200, 12))]
    assert np.mean(inside) > 0.9
    assert scope.fit.distance(np.full(12, 20.0)) > scope.limits.limit


def test_a_narrower_field_of_view_shows_a_window_of_the_same_scan() -> None:
    scan = next(disc_scans())
    window = cropped(scan)
    _, height, width = window.volume.geometry.shape
    assert 0.4 * 128 < height < 0.9 * 128
    assert window.mass is not None
    assert window.mass.geometry.shape == window.volume.geometry.shape
    corner = window.volume.geometry.positions(np.zeros(3)) - scan.volume.geometry.positions(np.zeros(3))
    left, top = round(float(corner[0])), round(float(corner[1]))
    np.testing.assert_array_equal(window.volume.array, scan.volume.array[:, top : top + height, left : left + width])
    assert cropped(scan).volume.geometry.shape == window.volume.geometry.shape


def test_what_is_moved_is_outlined_where_it_went() -> None:
    scan = next(disc_scans())
    assert scan.mass is not None
    one, other = moved(scan, times=2, seed=0)
    for shown in (one, other):
        assert shown.mass is not None
        assert shown.volume.geometry == scan.volume.geometry
        disc, before = (np.asarray(volume.array) for volume in (shown.mass, scan.mass))
        pixels = np.asarray(shown.volume.array)
        assert not disc[0].any()  # the slice without one
        for k in range(1, len(disc)):
            # Discs of 14 to 26 pixels stay whole, are zoomed by at most exp(0.25), and lie elsewhere.
            assert np.exp(-0.55) < disc[k].sum() / before[k].sum() < np.exp(0.55)
            assert (disc[k] ^ before[k]).any()
            assert pixels[k][disc[k]].mean() - pixels[k][~disc[k]].mean() > 50.0
    assert not np.array_equal(one.volume.array, other.volume.array)
    again, _ = moved(scan, times=2, seed=0)
    np.testing.assert_array_equal(again.volume.array, one.volume.array)


def test_hounsfield_units_keep_their_values_when_a_scan_is_moved() -> None:
    scan = replace(next(disc_scans()), modality="CT")
    for shown in moved(scan, times=3, seed=0):
        assert float(shown.volume.array.max()) <= float(scan.volume.array.max())
        assert shown.mass is not None
        inside = np.asarray(shown.volume.array)[np.asarray(shown.mass.array)]
        assert abs(float(np.median(inside)) - 200.0) < 5.0
