import numpy as np
import pytest
import torch
from scipy import stats

from operators.encoder.torchvision_schemas import define_missing_schemas
from trainer.pretraining.config import ContentSettings
from trainer.pretraining.views.content import Content
from trainer.pretraining.views.crop_boxes import CropBox, draw_box, draw_filled_box, flip_sometimes

SHAPE = (120, 160)


def half_air() -> Content:
    """Content left of the middle."""
    mask = np.zeros((100, 100), np.bool_)
    mask[:, :50] = True
    return Content(mask)


def share(content: Content, box: CropBox) -> float:
    return content.share(box.top, box.left, box.height, box.width)


@pytest.mark.parametrize("scale", [(0.32, 1.0), (0.05, 0.32)])
def test_boxes_are_distributed_as_torchvision_s(scale: tuple[float, float]) -> None:
    define_missing_schemas()
    from torchvision.transforms import RandomResizedCrop

    rng, count = np.random.default_rng(3), 3000
    ours = [draw_box(SHAPE, scale, rng) for _ in range(count)]
    torch.manual_seed(3)
    image = torch.zeros(1, *SHAPE)
    theirs = [RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]) for _ in range(count)]
    for index, name in enumerate(("top", "left", "height", "width")):
        mine = np.array([getattr(box, name) for box in ours])
        other = np.array([box[index] for box in theirs])
        assert stats.ks_2samp(mine, other).pvalue > 0.001, name
    assert all(box.top + box.height <= SHAPE[0] and box.left + box.width <= SHAPE[1] for box in ours)


def test_a_scale_that_never_fits_takes_the_middle() -> None:
    assert draw_box((20, 200), (1.0, 1.0), np.random.default_rng(0)) == CropBox(0, 90, 20, 20)


def test_boxes_of_a_half_empty_slice_hold_enough() -> None:
    content, rng = half_air(), np.random.default_rng(0)
    settings = ContentSettings(min_content=0.3, max_tries=50)
    boxes = [draw_filled_box(content, (0.05, 0.32), settings, rng)[0] for _ in range(300)]
    assert min(share(content, box) for box in boxes) >= 0.3


def test_the_rejected_are_counted_as_often_as_chance_has_it() -> None:
    """Boxes are rejected with the probability p of too little content, p / (1 - p) of them before the first good."""
    content, rng = half_air(), np.random.default_rng(1)
    scale, settings = (0.05, 0.32), ContentSettings(min_content=0.3, max_tries=200)
    plain = [draw_box((100, 100), scale, rng) for _ in range(4000)]
    p = np.mean([share(content, box) < 0.3 for box in plain])
    rejected = [draw_filled_box(content, scale, settings, rng)[1] for _ in range(4000)]
    assert 0.3 < p < 0.7
    assert np.mean(rejected) == pytest.approx(p / (1 - p), rel=0.1)


def test_when_all_tries_fail_the_fullest_is_taken() -> None:
    """A narrow column at the side, which few boxes of a tenth of the slice meet."""
    mask = np.zeros((100, 100), np.bool_)
    mask[:, 96:] = True
    content, scale = Content(mask), (0.1, 0.1)
    settings = ContentSettings(min_content=0.04, max_tries=6)
    out_of_tries = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        tried = [draw_box((100, 100), scale, rng) for _ in range(6)]
        shares = [share(content, box) for box in tried]
        good = [index for index, value in enumerate(shares) if value >= 0.04]
        expected = (tried[good[0]], good[0]) if good else (tried[int(np.argmax(shares))], 6)
        assert draw_filled_box(content, scale, settings, np.random.default_rng(seed)) == expected
        out_of_tries += not good
    assert 0 < out_of_tries < 20


def test_a_slice_is_asked_for_no_more_than_it_holds() -> None:
    mask = np.zeros((100, 100), np.bool_)
    mask[40:60, 40:60] = True
    settings = ContentSettings(min_content=0.5, max_tries=5)
    _, rejected = draw_filled_box(Content(mask), (1.0, 1.0), settings, np.random.default_rng(0))
    assert rejected == 0


def test_switched_off_every_box_is_taken() -> None:
    content = half_air()
    settings = ContentSettings(enabled=False, min_content=1.0)
    box, rejected = draw_filled_box(content, (0.1, 0.5), settings, np.random.default_rng(2))
    assert box == draw_box((100, 100), (0.1, 0.5), np.random.default_rng(2))
    assert rejected == 0


def test_flips_follow_their_probability() -> None:
    rng, box = np.random.default_rng(0), CropBox(0, 0, 4, 4)
    flipped = sum(flip_sometimes(box, 0.3, rng).flipped for _ in range(2000))
    assert stats.binomtest(flipped, 2000, 0.3).pvalue > 0.001
    assert not flip_sometimes(box, 0.0, rng).flipped
