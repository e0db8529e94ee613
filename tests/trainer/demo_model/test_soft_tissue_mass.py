"""Masses of known place under features of known content."""

from dataclasses import replace

import numpy as np
import pytest

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from trainer.demo_model.soft_tissue_mass import Judged, MassFigures, compare_masses, fit_readout, measure_masses
from trainer.features.encoded_scans import EncodedScan, only, without
from trainer.features.scans import Scan

GRID = Geometry(np.diag([5.0, 1.0, 1.0, 1.0]), (10, 64, 64))
FOLDS = (frozenset({"a", "c"}), frozenset({"b", "d"}))


def encoded(patient: str, *, modality: str = "CT", contrast: float = 1.0) -> EncodedScan:
    """A cube of 32 x 32 x 6 voxels under 16 x 16 tokens; one feature tells it, three are noise."""
    seed = ord(patient)
    rng = np.random.default_rng(seed)
    mask = np.zeros(GRID.shape, bool)
    mask[2:8, 16:48, 4 * (seed % 4) : 4 * (seed % 4) + 32] = True
    tokens = rng.normal(size=(10, 256, 4)).astype(np.float32)
    covered = mask.reshape(10, 16, 4, 16, 4).mean(axis=(2, 4)).reshape(10, 256)
    tokens[..., 1] = 5.0 * contrast * covered + 0.5 * tokens[..., 1]
    volume = Volume(np.zeros(GRID.shape, np.float32), GRID)
    scan = Scan(patient, "s", modality, volume, ("extremity",) * 10, mass=Volume(mask, GRID))
    return EncodedScan(scan, FeatureVolume(tokens[:, 0], tokens, GRID.rescaled((10, 16, 16))))


def judge(
    scans: list[EncodedScan], fold: frozenset[str], *, judged_on: str = "CT", fitted: bool = False
) -> list[Judged]:
    """By heads for CT that were fitted without the patients of *fold*."""
    shown = [scan for scan in without(scans, fold) if scan.scan.modality == "CT"]
    asked = shown if fitted else [scan for scan in only(scans, fold) if scan.scan.modality == judged_on]
    return [*map(fit_readout(shown, seed=0).judge, asked)]


def figures(scans: list[EncodedScan]) -> MassFigures:
    judged, fitted, transferred = (
        [found for fold in FOLDS for found in judge(scans, fold, **how)]
        for how in ({}, {"fitted": True}, {"judged_on": "MR"})
    )
    return measure_masses(judged, FOLDS, protocol="p", seed=0, fitted=fitted, transferred=transferred)


@pytest.fixture(scope="module")
def scans() -> list[EncodedScan]:
    """The features of MR tell the mass the wrong way round."""
    return [encoded(p) for p in "abcd"] + [encoded(p, modality="MR", contrast=-1.0) for p in "abcd"]


def test_features_that_tell_the_mass_find_it(scans: list[EncodedScan]) -> None:
    found = figures(scans)
    assert found.measured["slice_auc"] == 1.0
    assert found.measured["slice_auc_on_mr"] < 0.25
    assert found.measured["patients"] == found.measured["lesion_dice_patients"] == 4
    assert found.by_patient["lesion_dice"].keys() == set("abcd")
    assert min(found.by_patient["lesion_dice"].values()) > 0.85


def test_what_a_head_learned_by_heart_shows_in_those_it_was_fitted_on_only(scans: list[EncodedScan]) -> None:
    """Features that are noise but for a patient's own code can be told apart where they were shown, nowhere else."""
    rng = np.random.default_rng(0)

    def coded(encoded: EncodedScan) -> EncodedScan:
        codes = rng.normal(size=(16, 1))
        covered = encoded.features.tokens[..., 1:2] > 2.5
        tokens = np.where(covered, 5.0 * codes.T, 0.0) + rng.normal(size=(*covered.shape[:2], 16))
        features = encoded.features
        return EncodedScan(encoded.scan, FeatureVolume(features.cls, tokens.astype(np.float32), features.geometry))

    found = figures([coded(scan) for scan in scans])
    assert min(found.by_patient["lesion_dice_of_the_fitted"].values()) > 0.8
    assert np.mean(list(found.by_patient["lesion_dice"].values())) < 0.6


def test_the_judged_patients_own_mask_changes_nothing_of_the_judgement(scans: list[EncodedScan]) -> None:
    def with_another_mask(encoded: EncodedScan) -> EncodedScan:
        mass = Volume(np.roll(encoded.scan.mass.array, (2, 20), (0, 2)), GRID)
        return EncodedScan(replace(encoded.scan, mass=mass), encoded.features)

    shifted = [with_another_mask(scan) if scan.scan.patient in FOLDS[0] else scan for scan in scans]
    for before, after in zip(*(judge(part, FOLDS[0]) for part in (scans, shifted)), strict=True):
        np.testing.assert_array_equal(before.evidence.array, after.evidence.array)
        np.testing.assert_array_equal(before.slice_evidence, after.slice_evidence)
    assert figures(shifted).measured != figures(scans).measured


def test_a_comparison_goes_patient_by_patient(scans: list[EncodedScan]) -> None:
    trained = figures(scans)
    worse = {name: {p: v - 0.25 for p, v in values.items()} for name, values in trained.by_patient.items()}
    table = compare_masses(trained, {"same": trained, "worse": replace(trained, by_patient=worse)}, seed=0)
    for name, difference in (("same", 0.0), ("worse", 0.25)):
        for end in ("", "_95_low", "_95_high"):
            assert table[name][f"trained_minus_this_lesion_dice{end}"] == pytest.approx(difference)
    assert table["same"]["trained_lesion_dice_is"] == "neither above nor below"
    assert table["worse"]["trained_lesion_dice_is"] == "above"


def test_a_thinned_scan_keeps_each_slice_at_its_place(scans: list[EncodedScan]) -> None:
    thinned = scans[0].thinned(3)
    np.testing.assert_array_equal(thinned.features.tokens, scans[0].features.tokens[[0, 3, 6, 9]])
    places = thinned.features.geometry.positions(np.array([2, 5, 7]))
    np.testing.assert_allclose(places, scans[0].features.geometry.positions(np.array([6, 5, 7])))
    np.testing.assert_allclose(
        places, thinned.scan.volume.geometry.rescaled((4, 16, 16)).positions(np.array([2, 5, 7]))
    )
