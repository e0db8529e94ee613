"""Each step on its own, against what can be said without it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.registration import RegistrationQuality
from operators.domain.volume import Volume
from operators.registration.correspondences import fitted_rigid, pose_from_tokens
from operators.registration.coupled_convex import correlation_volume, coupled_convex, shifts
from operators.registration.feature_space import choose_features, on_lattice, token_components
from operators.registration.inverse_consistency import inconsistency, made_inverse
from operators.registration.lattice import box_mean, identity_places, pooled, refined, sample
from operators.registration.mutual_information import normalised_mutual_information, soft_bins
from operators.registration.quality import (
    VerdictThresholds,
    edge_agreement,
    folded_share,
    jacobian_determinants,
    log_jacobian_sd,
    verdict,
)
from operators.registration.self_similarity import self_similarity
from support.registration_cases import body_points, motion, moved

GOOD = RegistrationQuality(0.3, 0.9, 1.0, 0.2, 0.0, 0.1)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape, np.float32))


def smooth(*shape: int, seed: int = 0) -> torch.Tensor:
    return box_mean(noise(*shape, seed=seed), radius=2, passes=2) * 10


def test_a_linear_function_survives_sampling_refining_and_pooling() -> None:
    places = identity_places((6, 8, 10), torch.device("cpu"))
    ramp = (places[0] * 2 - places[1] + 3 * places[2])[None]
    inner = places[:, 1:5, 1:7, 1:9] + 0.3
    torch.testing.assert_close(sample(ramp, inner)[0], (inner[0] * 2 - inner[1] + 3 * inner[2]))
    coarse = pooled(places, 2)
    torch.testing.assert_close(coarse[:, 1, 1, 1], torch.tensor([2.5, 2.5, 2.5]))
    # Points of the fine lattice that the coarse one's middles enclose, in steps of the fine one.
    torch.testing.assert_close(refined(coarse, 2, (6, 8, 10))[:, 1:5, 1:7, 1:9], 2 * places[:, 1:5, 1:7, 1:9])


def test_self_similarity_does_not_care_for_contrast_and_brightness() -> None:
    image = smooth(1, 12, 14, 16)[0]
    torch.testing.assert_close(self_similarity(image), self_similarity(40 - 3 * image), atol=2e-4, rtol=1e-3)
    assert self_similarity(image).shape == (12, 12, 14, 16)
    assert float(self_similarity(torch.zeros(4, 4, 4)).min()) == 1.0  # nothing to tell apart


def test_the_correlation_volume_knows_a_shift_of_whole_cells() -> None:
    features = noise(4, 9, 10, 11)
    moving = torch.roll(features, (1, -2, 2), (1, 2, 3))
    costs = correlation_volume(features, moving, 3)
    candidates = shifts(3, (9, 10, 11), features.device)
    assert costs.shape == (7**3, 9, 10, 11)
    assert candidates[costs[:, 4, 5, 5].argmin()].tolist() == [1, -2, 2]
    found = coupled_convex(costs, 3)
    torch.testing.assert_close(found[:, 4, 5, 5], torch.tensor([1.0, -2.0, 2.0]))


def test_cells_without_features_stay_at_rest() -> None:
    flat = torch.ones(3, 6, 6, 6)
    assert float(coupled_convex(correlation_volume(flat, flat, 2), 2).abs().max()) == 0.0


def test_two_fields_are_made_to_undo_one_another() -> None:
    forward = smooth(3, 12, 12, 12, seed=1) - 5
    forward = forward / forward.abs().max() * 1.5
    backward = -0.6 * forward
    before = inconsistency(forward, backward)[3:-3, 3:-3, 3:-3].mean()
    after = inconsistency(*made_inverse(forward, backward))[3:-3, 3:-3, 3:-3].mean()
    assert after < 0.1 * before


def test_mutual_information_is_two_for_the_same_and_near_one_for_strangers() -> None:
    values, strangers = noise(4000).round(), noise(4000, seed=5).round()  # two bins
    moving = torch.stack([values, 1 - values, strangers])
    same, negative, other = normalised_mutual_information(soft_bins(values), moving, torch.ones(3, 4000))
    assert same == pytest.approx(2.0, abs=1e-3)
    assert negative == pytest.approx(2.0, abs=1e-3)
    assert other == pytest.approx(1.0, abs=0.01)


def test_edges_of_one_image_agree_and_those_of_strangers_agree_by_chance() -> None:
    images = [smooth(1, 24, 24, 24, seed=seed)[0] for seed in (1, 2)]
    where = torch.ones(24, 24, 24, dtype=torch.bool)
    assert edge_agreement(images[0], 7 - 2 * images[0], where) == pytest.approx(1.0, abs=1e-4)
    assert edge_agreement(images[0], images[1], where) == pytest.approx(1 / 3, abs=0.05)
    assert edge_agreement(images[0], images[0], torch.zeros_like(where)) == 0.0


def test_a_stretch_has_the_jacobian_of_its_factor_and_a_mirror_is_folded() -> None:
    places = identity_places((6, 6, 6), torch.device("cpu"))
    where = torch.ones(6, 6, 6, dtype=torch.bool)
    stretched = jacobian_determinants(places * torch.tensor([0.5, 0.0, 0.1]).reshape(3, 1, 1, 1))
    torch.testing.assert_close(stretched, torch.full((6, 6, 6), 1.65))
    assert log_jacobian_sd(stretched, where) == pytest.approx(0.0, abs=1e-5)
    assert folded_share(stretched, where) == 0.0
    assert folded_share(jacobian_determinants(places * -2.0), where) == 1.0


@pytest.mark.parametrize(
    ("figure", "value", "expected"),
    [
        ("edge_agreement_after", 0.55, "doubtful"),
        ("edge_agreement_after", 0.4, "failed"),
        ("overlap", 0.3, "doubtful"),
        ("overlap", 0.1, "failed"),
        ("inverse_consistency_error_mm", 4.0, "doubtful"),
        ("inverse_consistency_error_mm", 20.0, "failed"),
        ("folded_share", 0.01, "doubtful"),
        ("folded_share", 0.1, "failed"),
        ("log_jacobian_sd", 0.5, "doubtful"),
    ],
)
def test_one_bad_figure_decides_the_verdict_and_is_named(figure: str, value: float, expected: str) -> None:
    figures = {name: getattr(GOOD, name) for name in RegistrationQuality.__dataclass_fields__} | {figure: value}
    worst, reasons = verdict(RegistrationQuality(**figures), flat=False, across=False, thresholds=VerdictThresholds())
    assert worst == expected
    assert len(reasons) == 1
    assert f"{value:.3g}" in reasons[0]


def test_good_figures_need_no_reasons() -> None:
    assert verdict(GOOD, flat=False, across=False, thresholds=VerdictThresholds()) == ("good", ())


def test_between_two_modalities_good_figures_are_doubtful_and_bad_ones_failed() -> None:
    worst, reasons = verdict(GOOD, flat=False, across=True, thresholds=VerdictThresholds())
    assert (worst, len(reasons)) == ("doubtful", 1)
    bad = replace(GOOD, overlap=0.1)
    assert verdict(bad, flat=False, across=True, thresholds=VerdictThresholds())[0] == "failed"


def anatomy_tokens(positions: NDArray[np.float64], width: int = 48) -> NDArray[np.float32]:
    """(..., 3) places in the patient to (..., width) tokens that tell the place smoothly."""
    rng = np.random.default_rng(3)
    waves = positions @ rng.normal(0, 1 / 40, (3, width)) + rng.uniform(0, 6, width)
    return np.cos(waves).astype(np.float32)


def test_tokens_that_look_alike_give_the_pose_despite_wrong_ones() -> None:
    pose = motion((20.0, -25.0, 15.0), (40.0, -60.0, 30.0))
    here, there = body_points(12.0), body_points(11.0)
    fixed, moving = anatomy_tokens(moved(pose)(here)), anatomy_tokens(there)
    fixed[::4] = np.random.default_rng(1).normal(size=fixed[::4].shape)
    found = pose_from_tokens(fixed, here, moving, there)
    assert found is not None
    assert np.linalg.norm(moved(found)(here) - moved(pose)(here), axis=1).mean() < 10.0  # tokens lie 12 mm apart
    strangers = np.random.default_rng(2).normal(size=(400, 48)).astype(np.float32)
    assert pose_from_tokens(strangers[:3], here[:3], strangers[3:6], there[:3]) is None


def test_a_rigid_fit_of_exact_points_is_exact() -> None:
    pose = motion((50.0, -70.0, 120.0), (1.0, 2.0, 3.0))
    np.testing.assert_allclose(fitted_rigid(body_points(), moved(pose)(body_points())), pose, atol=1e-9)


def test_tokens_of_both_images_lie_in_one_space_without_what_each_has_for_all() -> None:
    grid = Geometry(np.diag([8.0, 8.0, 8.0, 1.0]), (6, 7, 8))
    positions = grid.positions(np.moveaxis(np.indices(grid.shape), 0, -1))
    tokens = anatomy_tokens(positions).reshape(6, 56, 48)
    body = Volume(np.ones(grid.shape, bool), grid)
    plain, offset = (FeatureVolume(np.zeros((6, 48), np.float32), t, grid) for t in (tokens, tokens + 5.0))
    one, other = token_components((plain, offset), (body, body))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_allclose(first.array, second.array, atol=1e-4)
    maps = on_lattice(one, grid.rescaled((12, 14, 16)))
    assert maps.shape == (12, 12, 14, 16)
    assert np.sum([component.array.var() for component in one]) == pytest.approx(1.0, rel=1e-3)


def test_a_demonstration_encoder_counts_for_less() -> None:
    weights = [
        choose_features(has_encoder=e, demonstration=d).encoder for e, d in ((False, True), (True, True), (True, False))
    ]
    assert weights == sorted(weights)
    assert weights[0] == 0.0
