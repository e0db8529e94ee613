import numpy as np
import pytest
from scipy import stats

from trainer.pretraining.config import MaskingSettings
from trainer.pretraining.mask_picture import mean_mask
from trainer.pretraining.views.content import Anatomy
from trainer.pretraining.views.crop_boxes import CropBox
from trainer.pretraining.views.masking import (
    AnatomyPrior,
    BlockPrior,
    UniformPrior,
    anatomy_prior,
    draw_mask,
    draw_masks,
)

GRID = 16
ANATOMY = AnatomyPrior(GRID, centre=(11.0, 5.0), spread=(2.0, 3.0))


def centroid(share: np.ndarray) -> tuple[float, float]:
    places = np.arange(len(share)) + 0.5
    return float(share.sum(1) @ places / share.sum()), float(share.sum(0) @ places / share.sum())


@pytest.mark.parametrize("prior", [UniformPrior(GRID), ANATOMY])
def test_a_mask_hides_exactly_what_is_asked(prior: BlockPrior) -> None:
    rng = np.random.default_rng(0)
    for count in (0, 1, 3, 4, 25, 128, 250, 256):
        assert draw_mask(prior, count, rng).sum() == count


def test_a_batch_is_masked_by_probability_and_ratio() -> None:
    settings = MaskingSettings(probability=0.5, ratio=(0.1, 0.5))
    masks = draw_masks([UniformPrior(GRID)] * 40, settings, np.random.default_rng(0))
    counts = np.sort(masks.sum(axis=1))
    assert masks.shape == (40, GRID**2)
    assert (counts[:20] == 0).all()
    np.testing.assert_array_equal(counts[20:], np.round((0.1 + 0.4 * (np.arange(20) + 0.5) / 20) * GRID**2))


def test_every_crop_is_masked_equally_often() -> None:
    """Three of six each time: each crop's count is binomial with a half, of standard deviation 12."""
    settings, rng = MaskingSettings(), np.random.default_rng(0)
    priors: list[BlockPrior] = [UniformPrior(8)] * 6
    times = sum(draw_masks(priors, settings, rng).any(axis=1).astype(int) for _ in range(600))
    assert np.sum(times) == 1800
    assert np.abs(times - 300).max() < 4 * 12.2


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_none_or_all_may_be_masked(probability: float) -> None:
    settings = MaskingSettings(probability=probability)
    masks = draw_masks([ANATOMY] * 5, settings, np.random.default_rng(0))
    assert masks.any(axis=1).mean() == probability


def test_uniform_blocks_start_anywhere_equally_often() -> None:
    rng = np.random.default_rng(0)
    places = np.array([UniformPrior(GRID).place(5, 9, rng) for _ in range(6000)])
    for column, room in ((0, GRID - 5), (1, GRID - 9)):
        assert stats.chisquare(np.bincount(places[:, column], minlength=room + 1)).pvalue > 0.001


@pytest.mark.parametrize("centre", [(11.0, 5.0), (-2.0, 17.5)])
def test_anatomy_blocks_are_centred_by_the_truncated_normal(centre: tuple[float, float]) -> None:
    """A block of one token shows the draw itself: the normal density at the tokens' centres, cut off at the border."""
    prior, rng = AnatomyPrior(GRID, centre, (2.0, 3.0)), np.random.default_rng(0)
    places = np.array([prior.place(1, 1, rng) for _ in range(8000)])
    for axis in (0, 1):
        density = stats.norm.pdf(np.arange(GRID) + 0.5, centre[axis], prior.spread[axis])
        expected = 8000 * density / density.sum()
        observed = np.bincount(places[:, axis], minlength=GRID)
        likely = expected > 5
        binned = [np.append(counts[likely], counts[~likely].sum() + 1e-9) for counts in (observed, expected)]
        assert stats.chisquare(binned[0], binned[1]).pvalue > 0.001
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.05


def test_a_draw_is_the_block_s_centre() -> None:
    prior = AnatomyPrior(GRID, centre=(8.5, 6.5), spread=(0.01, 0.01))
    assert prior.place(5, 3, np.random.default_rng(0)) == (6, 5)


def test_an_anatomy_far_outside_draws_to_the_border() -> None:
    prior = AnatomyPrior(GRID, centre=(-500.0, 900.0), spread=(1.0, 1.0))
    assert prior.place(3, 3, np.random.default_rng(0)) == (0, GRID - 3)
    assert draw_mask(prior, 60, np.random.default_rng(0)).sum() == 60


def test_the_centre_moves_and_scales_with_the_crop() -> None:
    anatomy = Anatomy(centre=(300.0, 200.0), spread=(60.0, 90.0))
    prior = anatomy_prior(anatomy, CropBox(100, 50, 256, 320), GRID, spread=0.5)
    assert prior.centre == pytest.approx((200 * 16 / 256, 150 * 16 / 320))
    assert prior.spread == pytest.approx((30 * 16 / 256, 45 * 16 / 320))
    mirrored = anatomy_prior(anatomy, CropBox(100, 50, 256, 320, flipped=True), GRID, spread=0.5)
    assert mirrored.centre == pytest.approx((prior.centre[0], GRID - prior.centre[1]))


def test_the_mean_mask_lies_on_the_anatomy_and_blockwise_in_the_middle() -> None:
    settings = MaskingSettings()
    anatomy, uniform = (mean_mask(p, settings, num_draws=600, seed=0) for p in (ANATOMY, UniformPrior(GRID)))
    assert anatomy.mean() == pytest.approx(0.3, abs=0.01)
    assert uniform.mean() == pytest.approx(0.3, abs=0.01)
    assert centroid(uniform) == pytest.approx((8, 8), abs=0.25)
    row, column = centroid(anatomy)
    assert row > 9
    assert column < 7
    assert anatomy[11, 5] > 2 * anatomy[2, 14]


def test_single_tokens_follow_the_prior_too() -> None:
    """Fewer tokens than a block holds are drawn one by one: with the prior's weights."""
    rng = np.random.default_rng(0)
    prior = AnatomyPrior(4, centre=(1.0, 3.0), spread=(1.0, 1.0))
    hits = sum(draw_mask(prior, 1, rng).astype(int) for _ in range(4000))
    weights = np.exp(prior.log_weights())
    assert stats.chisquare(np.ravel(hits), 4000 * np.ravel(weights / weights.sum())).pvalue > 0.001
