from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers
from numpy.typing import NDArray
from scipy import ndimage

from operators.domain.concepts import Code
from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.value_meaning import ValueMeaning
from operators.heads.finding import slice_scores
from operators.heads.head import Head, Heads, Needs, SeriesFeatures, ask
from operators.heads.labels import Label
from operators.heads.linear import Linear
from operators.heads.masks import cleaned
from operators.heads.measurements import measure
from operators.heads.readout import predict_findings
from operators.heads.scope import Scope, region_obstacle, series_obstacle
from operators.heads.segments import localise, predict_segments
from operators.model.model_folder import read_model

GRID = Geometry(np.diag([3.0, 8.0, 8.0, 1.0]), (4, 4, 4), "1.2.3")
SOURCE = GRID.rescaled((4, 32, 32))
SOPS = tuple(f"1.9.{k}" for k in range(4))


def features(*, block: float) -> FeatureVolume:
    """Zeros but for a block of 2 x 2 tokens in slices 1 and 2, whose first feature is *block*."""
    tokens = np.zeros((4, 4, 4, 8), np.float32)
    tokens[1:3, 1:3, 1:3, 0] = block
    return FeatureVolume(np.zeros((4, 8), np.float32), tokens.reshape(4, 16, 8), GRID)


@pytest.fixture
def heads(model_folder: Path) -> Heads:
    """Region: always extremity; mass: log odds 20 * first feature - 10; organs: lung everywhere."""
    region_head, organ_head, mass_head = read_model(model_folder).heads.all
    region = Linear(np.zeros((5, 16), np.float32), np.array([0, 0, 0, 3, 0], np.float32))
    mass = Linear(np.array([[20.0] + [0.0] * 7], np.float32), np.array([-10.0], np.float32))
    organs = Linear(np.zeros((12, 8), np.float32), np.repeat([1.0, -1.0, -1.0], 4).astype(np.float32))
    return Heads(
        (
            replace(region_head, linear=region),
            replace(organ_head, linear=organs),
            replace(mass_head, evidence_of=mass),
        )
    )


def with_region(heads: Heads, **changes: object) -> Heads:
    return Heads((replace(heads.all[0], **changes), *heads.all[1:]))


def with_masses(heads: Heads, *masses: Head) -> Heads:
    return Heads((*heads.all[:2], *masses))


def series(shown: FeatureVolume, modality: str = "CT") -> SeriesFeatures:
    return SeriesFeatures(shown, SOURCE, modality, "1.5")


def tracking_uid(head: str, label: str) -> str:
    return f"uid of {head}/{label}"


def read_out(heads: Heads, *, block: float, modality: str = "CT", with_probabilities: bool = False) -> tuple:
    readout = predict_findings(series(features(block=block), modality), heads)
    segments = predict_segments(
        readout.masks,
        source=SOURCE,
        series_instance_uid="1.5",
        tracking_uid=tracking_uid,
        with_probabilities=with_probabilities,
    )
    return readout, segments


def test_a_present_finding_is_segmented_localised_and_measured(heads: Heads) -> None:
    readout, segments = read_out(heads, block=1.0)
    region, mass = localise(readout.findings, segments, SOPS, points={}, tracking_uid=tracking_uid)
    assert region.name == "body region"
    assert region.site is not None
    assert region.site.meaning == "Extremity"
    assert region.probability == pytest.approx(np.exp(3) / (np.exp(3) + 4))
    # Two slices of four tokens at +10; two top tokens, slope 1, intercept 0.
    assert mass.probability == pytest.approx(1 / (1 + np.exp(-10)))
    assert mass.present
    assert [(segment.number, segment.label, segment.finding) for segment in segments.segments] == [
        (1, "lung", None),
        (2, "soft-tissue mass", "soft-tissue mass"),
    ]
    # Interpolated, the log odds are 20 w(row) w(column) - 10, with w rising to 1 at tokens 1 and 2 from 0 at 0 and 3.
    token = (np.arange(32) + 0.5) / 8 - 0.5
    weight = np.clip(np.minimum(token, 3 - token), 0, 1)
    expected = np.zeros(SOURCE.shape, bool)
    expected[1:3] = np.outer(weight, weight) > 0.5
    np.testing.assert_array_equal(segments.segments[1].mask, expected)
    place = mass.localisation
    assert place is not None
    assert (place.segment_number, place.tracking_uid) == (2, "uid of mass/soft-tissue mass")
    assert place.sop_instance_uid in SOPS[1:3]
    assert np.linalg.norm(np.array(place.point_lps_mm[1:]) - GRID.positions(np.array([0, 1.5, 1.5]))[1:]) < 1.0
    lung, volume, *_ = measure(segments)
    assert lung.value == pytest.approx(4 * 32 * 32 * 3 / 1000)
    assert volume.value == pytest.approx(place.volume_ml)
    assert volume.unit.value == "mL"


def test_an_absent_finding_has_no_mask(heads: Heads) -> None:
    readout, segments = read_out(heads, block=0.1)
    _, mass = localise(readout.findings, segments, SOPS, points={}, tracking_uid=tracking_uid)
    assert mass.present is False
    assert mass.probability == pytest.approx(1 / (1 + np.exp(8)))
    assert mass.localisation is None
    assert [segment.label for segment in segments.segments] == ["lung"]


def test_another_modality_is_not_evaluated(heads: Heads) -> None:
    readout, segments = read_out(heads, block=1.0, modality="MR")
    mass = readout.findings[1]
    assert (mass.present, mass.probability) == (None, None)
    assert mass.not_evaluated == "trained on CT, this series is MR"
    assert segments.segments == ()


def test_another_body_region_is_not_evaluated(heads: Heads) -> None:
    chest = Linear(np.zeros((5, 16), np.float32), np.array([0, 3, 0, 0, 0], np.float32))
    readout, _ = read_out(with_region(heads, linear=chest), block=1.0)
    assert readout.findings[1].not_evaluated == "trained on extremity, this series looks like chest (probability 0.83)"


def test_heads_for_one_finding_are_alternatives(heads: Heads) -> None:
    mass = heads.all[2]
    record = mass.record.model_copy(update={"name": "mass-mr", "modality": ("MR",)})
    both = with_masses(heads, mass, replace(mass, record=record))
    for modality, name in (("CT", "mass"), ("MR", "mass-mr")):
        readout, segments = read_out(both, block=1.0, modality=modality)
        assert [(finding.name, finding.head) for finding in readout.findings[1:]] == [("soft-tissue mass", name)]
        assert segments.segments[-1].head == name


def test_without_a_region_head_a_head_for_a_region_is_not_asked() -> None:
    assert region_obstacle(Scope(modality=("CT",), body_region=("extremity",)), {}) is not None
    assert region_obstacle(Scope(modality=("CT",)), {}) is None


def test_several_regions_of_a_head_count_together() -> None:
    scope = Scope(modality=("CT",), body_region=("chest", "abdomen"), region_confidence=0.5)
    assert region_obstacle(scope, {"chest": 0.3, "abdomen": 0.3, "head": 0.4}) is None
    assert region_obstacle(scope, {"chest": 0.3, "abdomen": 0.1, "head": 0.6}) is not None


@pytest.mark.parametrize(
    ("scope", "contrast", "obstacle"),
    [
        ({"contrast": ("with",)}, "with", None),
        ({"contrast": ("with",)}, "without", "trained on images with contrast, this series is without it"),
        ({"contrast": ("with",)}, None, "the headers do not say what this series is"),
        ({"slices": (30, 400)}, None, None),
        ({"slices": (41, 400)}, None, "trained on series of 41 to 400 slices, this one has 40"),
    ],
)
def test_contrast_and_the_number_of_slices_are_part_of_the_scope(
    scope: dict, contrast: str | None, obstacle: str | None
) -> None:
    of = Scope(modality=("CT",), **scope)
    given = series_obstacle(of, modality="CT", values="HU", num_slices=40, contrast=contrast)
    assert given is None if obstacle is None else obstacle in str(given)


def test_grey_levels_are_read_by_heads_that_know_them_alone() -> None:
    def told(values: ValueMeaning, *known: ValueMeaning) -> str | None:
        scope = Scope(modality=("CT",), values=known) if known else Scope(modality=("CT",))
        return series_obstacle(scope, modality="CT", values=values, num_slices=40, contrast=None)

    assert told("grey levels") == "trained on HU and scanner units, the values of this series are grey levels"
    assert told("HU", "grey levels") == "trained on grey levels, the values of this series are HU"
    assert told("HU") is None
    assert told("grey levels", "HU", "grey levels") is None


def test_a_region_that_is_not_likely_enough_is_not_named(heads: Heads) -> None:
    """Every region is as likely as any other, and the head asks for more."""
    flat = with_region(heads, linear=Linear(np.zeros((5, 16), np.float32), np.zeros(5, np.float32))).all[0]
    shown = features(block=0.0)
    for threshold, is_sure in ((0.1, True), (0.3, False)):
        head = replace(flat, record=flat.record.model_copy(update={"threshold": threshold}))
        (answer,) = ask([head], series(shown))
        (finding,) = answer.findings
        assert finding.probability == pytest.approx(0.2)
        assert (finding.present, finding.site is not None, bool(answer.regions)) == (
            True if is_sure else None,
            is_sure,
            is_sure,
        )
        assert (finding.not_evaluated is None) == is_sure


def test_the_region_of_a_series_is_the_mean_over_its_slices(heads: Heads) -> None:
    """One slice out of four speaks for the chest, strongly; its logit alone would decide the mean of logits."""
    weight = np.zeros((5, 16), np.float32)
    weight[1, 0], weight[2, 8] = 1000.0, 10.0
    shown = features(block=0.0)
    shown.cls[0, 0] = 1.0
    tokens = np.zeros((4, 16, 8), np.float32)
    tokens[1:, :, 0] = 1.0
    head = with_region(heads, linear=Linear(weight, np.zeros(5, np.float32))).all[0]
    (answer,) = ask([head], series(FeatureVolume(shown.cls, tokens, GRID)))
    probabilities = answer.regions
    names = [label.name for label in head.labels]
    others = 0.75 / (4 + np.exp(10))
    assert probabilities[names[1]] == pytest.approx(0.25 + others)
    assert probabilities[names[2]] == pytest.approx(others * np.exp(10))


def test_of_two_obstacles_that_of_the_head_for_the_modality_is_told(heads: Heads) -> None:
    mass = heads.all[2]
    record = mass.record.model_copy(update={"name": "mass-mr", "modality": ("MR",), "body_region": ("head",)})
    both = (mass, replace(mass, record=record))
    for alternatives in (both, both[::-1]):
        readout, _ = read_out(with_masses(heads, *alternatives), block=1.0, modality="MR")
        assert readout.findings[1].head == "mass-mr"
        assert "trained on head, this series looks like extremity" in readout.findings[1].not_evaluated


def test_only_findings_of_the_series_get_a_place_in_it(heads: Heads) -> None:
    readout, segments = read_out(heads, block=1.0)
    elsewhere = tuple(replace(finding, series_instance_uid="1.6") for finding in readout.findings)
    assert localise(elsewhere, segments, SOPS, points={}, tracking_uid=tracking_uid) == elsewhere


def test_slice_scores_are_means_of_the_strongest(heads: Heads) -> None:
    (answer,) = ask(heads.all[2:], series(features(block=1.0)))
    scores = slice_scores(answer.evidence["soft-tissue mass"], 5)
    np.testing.assert_allclose(scores, [-10.0, 6.0, 6.0, -10.0])


def test_localise_wants_one_instance_for_each_slice(heads: Heads) -> None:
    readout, segments = read_out(heads, block=1.0)
    with pytest.raises(ValueError, match="one for each of 4 slices, got 3"):
        localise(readout.findings, segments, SOPS[:3], points={}, tracking_uid=tracking_uid)


def test_small_parts_go_and_touching_ones_count_together() -> None:
    mask = np.zeros((3, 5, 5), bool)
    mask[0, 0, 0] = mask[1, 0, 0] = True
    mask[2, 4, 4] = True
    geometry = Geometry(np.diag([10.0, 10.0, 10.0, 1.0]), mask.shape)
    kept = cleaned(mask, 2.0, geometry)
    np.testing.assert_array_equal(np.argwhere(kept), [[0, 0, 0], [1, 0, 0]])
    assert not cleaned(np.zeros_like(mask), 100.0, geometry).any()


@given(arrays(np.uint8, (3, 6, 6), elements=integers(0, 2)), floats(0.0, 12.0))
def test_cleaned_classes_stay_apart_without_small_parts_and_holes(labels: NDArray[np.uint8], minimum: float) -> None:
    geometry = Geometry(np.diag([10.0, 10.0, 10.0, 1.0]), labels.shape)  # one millilitre a voxel
    masks = [cleaned(labels == number, minimum, geometry) for number in (1, 2)]
    assert not (masks[0] & masks[1]).any()
    for mask in masks:
        parts, _ = ndimage.label(mask)
        assert (np.bincount(parts.ravel())[1:] >= minimum).all()
        np.testing.assert_array_equal(cleaned(mask, minimum, geometry), mask)


def test_probabilities_are_kept_when_asked_for(heads: Heads) -> None:
    _, plain = read_out(heads, block=1.0)
    assert [segment.probability for segment in plain.segments] == [None, None]
    _, segments = read_out(heads, block=1.0, with_probabilities=True)
    lung, mass = segments.segments
    # Evidence 1, -1, -1 beside the background's 0.
    np.testing.assert_array_equal(lung.probability, round(255 * np.e / (1 + np.e + 2 / np.e)))
    np.testing.assert_array_equal(mass.probability >= 128, mass.mask)


def test_a_side_without_a_site_is_no_label() -> None:
    mass, left = Code("4147007", "SCT", "Mass"), Code("7771000", "SCT", "Left")
    assert Label(name="mass", code=mass, site=Code("39607008", "SCT", "Lung"), laterality=left).laterality == left
    with pytest.raises(ValueError, match="laterality: expected a site"):
        Label(name="mass", code=mass, laterality=left)


def test_heads_that_read_no_tokens_are_given_none(heads: Heads) -> None:
    region = replace(heads.all[0], needs=Needs())
    with pytest.raises(AssertionError, match="needs them"):
        ask([region], series(features(block=1.0)))
    assert Heads((region,)).needs == Needs()
    assert heads.needs == Needs(tokens=True)
