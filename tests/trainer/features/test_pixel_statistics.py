import numpy as np

from operators.domain.features import EncoderInputSettings
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.encoder_input import make_encoder_input
from trainer.features.pixel_statistics import PatchPlace, PixelStatistics, SideBySide, patch_statistics, places


def test_statistics_of_a_patch_that_counts_up() -> None:
    """Pixels 0 to 255 of the second patch in any order; the first is constant."""
    pixels = np.random.default_rng(0).permutation(256).astype(np.float32).reshape(16, 16)
    slices = np.concatenate([np.full((16, 16), 7, np.float32), pixels], axis=1)
    slices = np.concatenate([slices, slices[:, ::-1]])[None]
    found = patch_statistics(slices, 16)
    assert found.shape == (1, 4, 9)
    np.testing.assert_array_equal(found[0, 0], [7, 0, 7, 7, 7, 7, 7, 7, 7])
    expected = [127.5, np.sqrt((256**2 - 1) / 12), 0, 26, 64, 128, 191, 230, 255]
    np.testing.assert_allclose(found[0, 1], expected, rtol=1e-6)
    np.testing.assert_allclose(found[0, 2], expected, rtol=1e-6)


def test_it_stands_in_an_encoders_place() -> None:
    array = np.random.default_rng(1).integers(-1000, 1000, (3, 40, 60)).astype(np.float32)
    volume = Volume(array, Geometry(np.eye(4), array.shape))
    encoder_input = make_encoder_input(volume, EncoderInputSettings(image_size=64))
    features = PixelStatistics(16).encode(encoder_input)
    (images,) = encoder_input.blocks(0, 3)
    np.testing.assert_allclose(features.tokens[2, 7, 0], images[2, 0, 16:32, 48:64].mean(), rtol=1e-5)
    assert features.geometry.shape == (3, 4, 4)
    placed = SideBySide(PixelStatistics(16), PatchPlace(16)).encode(encoder_input)
    np.testing.assert_array_equal(placed.tokens[..., :9], features.tokens)
    np.testing.assert_array_equal(placed.tokens[1, :, 9:], places(4, 4))
    np.testing.assert_array_equal(placed.cls, placed.tokens.mean(axis=1))


def test_places_run_from_corner_to_corner() -> None:
    table = places(3, 5)
    np.testing.assert_array_equal(table[[0, 7, 14]], [[-1, -1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    np.testing.assert_array_equal(table[4], [-1, 1, 1, 1, -1])
