import numpy as np
import pytest
import torch

from operators.domain.features import EncoderInputSettings
from operators.domain.volume import Volume
from operators.errors import UnsupportedPixelDataError
from operators.imaging.encoder_input import make_encoder_input, orient_for_encoder, zscore
from phantoms import AXIAL, CORONAL, OBLIQUE, SAGITTAL, SeriesSpec, grid_positions, phantom_value

SMALL = EncoderInputSettings(image_size=32)
LETTERS = {"L": (1, 0, 0), "P": (0, 1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def phantom(cosines, **changes) -> Volume:
    spec = SeriesSpec(shape=(6, 40, 50), row_cosine=cosines[0], column_cosine=cosines[1], **changes)
    return Volume(phantom_value(grid_positions(spec.geometry)).astype(np.float32), spec.geometry)


def published(image: np.ndarray, size: int) -> np.ndarray:
    """The published processor's steps for one NumPy slice, stated again in torch."""
    tensor = torch.from_numpy(image.astype(np.int16)).to(torch.float32) / 32767
    tensor = torch.nn.functional.interpolate(tensor[None, None], (size, size), mode="bicubic", antialias=True)[0, 0]
    tensor = tensor.clamp_min(-1000)
    return ((tensor - tensor.mean()) / tensor.std()).numpy()


@pytest.mark.parametrize(
    ("cosines", "letters"), [(AXIAL, "SPL"), (CORONAL, "PIL"), (SAGITTAL, "LIP")], ids=["axial", "coronal", "sagittal"]
)
@pytest.mark.parametrize("flips", [(), (0,), (1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("transposed", [False, True])
def test_axes_point_where_the_encoder_expects_them(cosines, letters, flips, transposed):
    volume = phantom(cosines)
    for axis in flips:
        volume = volume.flipped(axis)
    if transposed:
        volume = volume.permuted((0, 2, 1))
    oriented = orient_for_encoder(volume)
    np.testing.assert_allclose(oriented.geometry.directions.T, [LETTERS[letter] for letter in letters], atol=1e-12)
    np.testing.assert_array_equal(oriented.array, phantom_value(grid_positions(oriented.geometry)))


def test_an_oblique_volume_takes_the_nearest_plane_and_moves_no_voxel():
    oriented = orient_for_encoder(phantom(OBLIQUE))
    np.testing.assert_array_equal(oriented.array, phantom_value(grid_positions(oriented.geometry)))
    assert np.abs(oriented.geometry.directions).argmax(axis=0).tolist() == [1, 2, 0]


def test_slices_are_as_the_published_processor_makes_them():
    volume = phantom(AXIAL)
    encoder_input = make_encoder_input(volume, SMALL)
    assert encoder_input.images.shape == (6, 1, 32, 32)
    for image, source in zip(encoder_input.images[:, 0], volume.array, strict=True):
        np.testing.assert_allclose(image, published(source, 32), atol=2e-5)


def test_pixels_keep_their_place():
    encoder_input = make_encoder_input(phantom(AXIAL, pixel_spacing=(1.2, 0.9)), SMALL)
    np.testing.assert_allclose(encoder_input.geometry.spacing, [3.0, 1.2 * 40 / 32, 0.9 * 50 / 32])


def test_the_scope_of_the_statistics_is_a_setting():
    slices = np.random.default_rng(0).normal(5, 3, (40, 8, 8)).astype(np.float32)
    slices[0] *= 10
    whole, each = slices.copy(), slices.copy()
    zscore(whole, EncoderInputSettings(zscore_scope="volume"))
    np.testing.assert_allclose(whole, (slices - slices.mean()) / slices.std(ddof=1), atol=1e-5)
    zscore(each, EncoderInputSettings(zscore_scope="slice"))
    np.testing.assert_allclose(each.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(each.std(axis=(1, 2), ddof=1), 1, rtol=1e-6)


def test_a_constant_slice_is_only_centred():
    slices = np.full((1, 4, 4), 7, np.float32)
    zscore(slices, SMALL)
    np.testing.assert_array_equal(slices, np.zeros((1, 4, 4)))


def test_the_effective_clamp_lifts_padding_to_air():
    volume = phantom(AXIAL)
    volume.array[:, :4] = -3024
    lifted = Volume(np.maximum(volume.array, -1000), volume.geometry)
    settings = EncoderInputSettings(image_size=64, clip_mode="effective")
    padded, expected = (make_encoder_input(v, settings).images for v in (volume, lifted))
    # Away from the border, where the bicubic kernel still sees the unclamped padding.
    np.testing.assert_allclose(padded[:, :, 16:], expected[:, :, 16:], atol=0.05)
    inert = make_encoder_input(volume, EncoderInputSettings(image_size=64)).images
    assert np.abs(inert[:, :, 16:] - expected[:, :, 16:]).max() > 0.3


def test_values_beyond_int16_are_refused():
    volume = phantom(AXIAL)
    volume.array[0, 0, 0] = 40000
    with pytest.raises(UnsupportedPixelDataError, match=r"expected values within \+-32767, got 40000"):
        make_encoder_input(volume, SMALL)
