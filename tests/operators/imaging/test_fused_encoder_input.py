"""The fused kernels against the published processor's steps, stated again in torch.

Largest absolute error of z-scores: 2e-5 in float32; half a unit in the last place more in float16 and bfloat16.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from operators.domain.features import EncoderInputSettings
from operators.imaging.fused_encoder_input import PixelValues, SliceStatistics, measure_block, prepare_block

SIZE = 32
INERT = EncoderInputSettings(image_size=SIZE)
EFFECTIVE = EncoderInputSettings(image_size=SIZE, clip_mode="effective")
FRACTIONS = PixelValues(slope=0.37, intercept=-1024.3)


def stored(height: int, width: int, num_slices: int = 2) -> np.ndarray:
    """Smooth anatomy with noise on it, as int16, some of it far under air."""
    rng = np.random.default_rng(height)
    waves = np.sin(np.arange(height) / 5)[:, None] * np.cos(np.arange(width) / 7)
    return (700 * waves + rng.normal(400, 300, (num_slices, height, width))).astype(np.int16)


def physical(pixels: np.ndarray, values: PixelValues) -> np.ndarray:
    return pixels.astype(np.float32) * np.float32(values.slope) + np.float32(values.intercept)


def resized(hounsfield: np.ndarray, settings: EncoderInputSettings) -> torch.Tensor:
    images = torch.from_numpy(hounsfield)[:, None]
    if settings.clip_mode == "inert":
        images = (images.to(torch.int16).float() if settings.casts_to_int16 else images) / 32767
    size = (settings.image_size, settings.image_size)
    images = torch.nn.functional.interpolate(images, size, mode="bicubic", antialias=True)
    return images.clamp_min(-1000) if settings.clip_mode == "effective" else images


def published(hounsfield: np.ndarray, settings: EncoderInputSettings) -> np.ndarray:
    images = resized(hounsfield, settings).double()
    return ((images - images.mean((2, 3), keepdim=True)) / images.std((2, 3), keepdim=True)).numpy()


@pytest.mark.parametrize("settings", [INERT, EFFECTIVE], ids=["inert", "effective"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (45, 70), (300, 20), (16, 9)])
def test_slices_are_as_the_published_processor_makes_them(height, width, settings, to_device, to_host):
    pixels = stored(height, width)
    images = prepare_block(to_device(pixels), settings, dtype=torch.float32, values=FRACTIONS)
    assert images.shape == (2, 1, SIZE, SIZE)
    np.testing.assert_allclose(to_host(images), published(physical(pixels, FRACTIONS), settings), atol=2e-5)


def test_more_columns_and_more_strips_than_a_block_has_threads(to_device, to_host):
    pixels, settings = stored(30, 40, 1), EncoderInputSettings(image_size=400)
    images = prepare_block(to_device(pixels), settings, dtype=torch.float32)
    np.testing.assert_allclose(to_host(images), published(pixels.astype(np.float32), settings), atol=2e-5)


def test_the_integer_cast_can_be_left_out(to_device, to_host):
    values, settings = PixelValues(slope=0.001), replace(INERT, integer_cast="skip")
    pixels = stored(40, 40)
    expected = published(physical(pixels, values), settings)
    images = prepare_block(to_device(pixels), settings, dtype=torch.float32, values=values)
    np.testing.assert_allclose(to_host(images), expected, atol=2e-5)


def test_float_pixels_in_any_orientation(to_device, to_host):
    hounsfield = physical(stored(20, 50, 40), FRACTIONS)
    images = prepare_block(to_device(hounsfield).transpose(2, 0, 1)[3:5, ::-1], INERT, dtype=torch.float32)
    expected = published(np.ascontiguousarray(hounsfield.transpose(2, 0, 1)[3:5, ::-1]), INERT)
    np.testing.assert_allclose(to_host(images), expected, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_are_the_float_images_rounded(dtype, to_device):
    pixels = to_device(stored(45, 70))
    images = prepare_block(pixels, INERT, dtype=dtype)
    assert images.dtype == dtype
    assert torch.equal(images, prepare_block(pixels, INERT, dtype=torch.float32).to(dtype))


def test_a_second_run_gives_the_same_bits(to_device):
    pixels = to_device(stored(45, 70))
    first, second = (prepare_block(pixels, INERT, dtype=torch.float32) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("height", [32, 40])
def test_a_constant_slice_is_only_centred(height, to_device, to_host):
    pixels = np.full((1, height, 32), 77, np.int16)
    images = prepare_block(to_device(pixels), INERT, dtype=torch.float32)
    np.testing.assert_allclose(to_host(images), 0, atol=1e-6)


def test_statistics_survive_a_large_mean_with_little_around_it(to_device, to_host):
    pixels = (30000 + np.random.default_rng(0).normal(0, 0.5, (2, SIZE, SIZE))).astype(np.float32)
    measured = measure_block(to_device(pixels), EncoderInputSettings(image_size=SIZE, clip_mode="effective"))
    exact = pixels.astype(np.float64)
    np.testing.assert_allclose(to_host(measured.mean), exact.mean(axis=(1, 2)), rtol=1e-9)
    np.testing.assert_allclose(to_host(measured.deviation), exact.std(axis=(1, 2), ddof=1), rtol=1e-5)


def test_statistics_of_the_volume_are_the_callers(to_device, to_host):
    settings = EncoderInputSettings(image_size=SIZE, zscore_scope="volume")
    pixels = stored(45, 70)
    images = resized(pixels.astype(np.float32), settings)
    mean, deviation = (to_device(np.full(2, float(f(images.double())))) for f in (torch.mean, torch.std))
    result = prepare_block(
        to_device(pixels), settings, dtype=torch.float32, statistics=SliceStatistics(mean, deviation)
    )
    np.testing.assert_allclose(to_host(result), (images - images.mean()) / images.std(), atol=2e-5)
    with pytest.raises(ValueError, match="statistics: expected those of the whole volume"):
        prepare_block(to_device(pixels), settings, dtype=torch.float32)


def test_other_pixels_are_refused(to_device):
    with pytest.raises(ValueError, match="slices: expected int16 or float32 pixels, got float64"):
        prepare_block(to_device(np.zeros((1, 4, 4))), INERT, dtype=torch.float32)


def test_images_far_too_large_are_refused(to_device):
    with pytest.raises(ValueError, match="expected at most 96 source rows to one of 32 output rows, got 12[0-9]"):
        prepare_block(to_device(np.zeros((1, 1000, 4), np.int16)), INERT, dtype=torch.float32)
