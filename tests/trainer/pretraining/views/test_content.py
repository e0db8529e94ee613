import numpy as np
import pytest

from slice_cases import body_slice, make_sample
from trainer.pretraining.views.content import Content, find_content


def test_shares_are_those_of_counting() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((17, 23)) < 0.4
    content = Content(mask)
    for _ in range(50):
        top, left = int(rng.integers(17)), int(rng.integers(23))
        height, width = int(rng.integers(1, 18 - top)), int(rng.integers(1, 24 - left))
        expected = mask[top : top + height, left : left + width].mean()
        assert content.share(top, left, height, width) == pytest.approx(expected)


def test_anatomy_of_a_rectangle() -> None:
    """Rows 10 to 29 and columns 5 to 10 filled: a uniform distribution's mean and standard deviation."""
    mask = np.zeros((40, 20), np.bool_)
    mask[10:30, 5:11] = True
    anatomy = Content(mask).anatomy
    assert anatomy.centre == pytest.approx((20.0, 8.0))
    assert anatomy.spread == pytest.approx((20 / 12**0.5, 6 / 12**0.5))


def test_an_empty_slice_is_all_anatomy_and_no_content() -> None:
    content = Content(np.zeros((12, 24), np.bool_))
    assert content.share(0, 0, 12, 24) == 0.0
    assert content.anatomy.centre == (6.0, 12.0)
    assert content.anatomy.spread == pytest.approx((12 / 12**0.5, 24 / 12**0.5))


def test_ct_content_is_lung_and_body_but_neither_air_nor_padding() -> None:
    pixels = np.full((4, 4), -1000)
    pixels[0] = [-3024, -960, -850, 40]
    assert find_content(make_sample(pixels)).share(0, 0, 1, 4) == 0.5
    body = find_content(body_slice(centre=(50, 80), radii=(30, 20)))
    assert body.anatomy.centre == pytest.approx((50, 80), abs=0.2)
    # An ellipse's standard deviation along an axis is half the semi-axis.
    assert body.anatomy.spread == pytest.approx((15, 10), abs=0.3)


def test_mr_content_does_not_depend_on_the_scanner_s_scale() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.rayleigh(5, (64, 64))
    pixels[16:48, 16:48] += 300
    shares = [
        find_content(make_sample(pixels * gain + offset, modality="MR")).share(0, 0, 64, 64)
        for gain, offset in ((1, 0), (7, 0), (3, 500), (3, -500))
    ]
    assert shares == pytest.approx([0.25] * 4, abs=0.01)
