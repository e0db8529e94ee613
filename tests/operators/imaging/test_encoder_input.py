import numpy as np
import pytest
import torch

from operators.domain.features import EncoderInputSettings
from operators.domain.volume import Volume
from operators.errors import UnsupportedPixelDataError
from operators.imaging.array_module import select_array_module
from operators.imaging.encoder_input import make_encoder_input, orient_for_encoder
from phantoms import AXIAL, CORONAL, OBLIQUE, SAGITTAL, SeriesSpec, grid_positions, phantom_value

SMALL = EncoderInputSettings(image_size=32)
LETTERS = {"L": (1, 0, 0), "P": (0, 1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def phantom(cosines, *, shape=(6, 40, 50), **changes) -> Volume:
    spec = SeriesSpec(shape=shape, row_cosine=cosines[0], column_cosine=cosines[1], **changes)
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


def images_of(volume: Volume, settings: EncoderInputSettings = SMALL, *, size: int = 4) -> np.ndarray:
    return np.concatenate(list(make_encoder_input(volume, settings).blocks(0, size)))


@pytest.mark.parametrize(
    "cosines", [AXIAL, CORONAL, SAGITTAL, OBLIQUE], ids=["axial", "coronal", "sagittal", "oblique"]
)
@pytest.mark.parametrize("shape", [(6, 40, 50), (5, 20, 64), (4, 32, 32)], ids=["shrunk", "mixed", "as it is"])
def test_slices_are_as_the_published_processor_makes_them(cosines, shape):
    volume = phantom(cosines, shape=shape)
    images = images_of(volume)
    assert images.shape == (shape[0], 1, 32, 32)
    for image, source in zip(images[:, 0], orient_for_encoder(volume).array, strict=True):
        np.testing.assert_allclose(image, published(source, 32), atol=2e-5)


def test_a_volume_is_as_the_published_processor_makes_it():
    """A 3D array gets one mean and standard deviation."""
    volume = phantom(CORONAL, shape=(37, 20, 24))
    tensor = torch.from_numpy(orient_for_encoder(volume).array.astype(np.int16)).to(torch.float32) / 32767
    tensor = torch.nn.functional.interpolate(tensor[:, None], (32, 32), mode="bicubic", antialias=True).double()
    expected = ((tensor - tensor.mean()) / tensor.std()).numpy()
    settings = EncoderInputSettings(image_size=32, zscore_scope="volume")
    np.testing.assert_allclose(images_of(volume, settings), expected, atol=2e-5)


@pytest.mark.parametrize("clip_below_air", [True, False])
@pytest.mark.parametrize("size", [32, 50])
def test_the_effective_path_is_the_published_processors_for_tensors(clip_below_air, size):
    volume = phantom(AXIAL, shape=(3, 50, 50))
    volume.array[:, :9] = -3024.5
    before = volume.array.copy()
    settings = EncoderInputSettings(image_size=size, clip_mode="effective", clip_below_air=clip_below_air)
    tensor = torch.from_numpy(volume.array)[:, None]
    tensor = torch.nn.functional.interpolate(tensor, (size, size), mode="bicubic", antialias=True)
    tensor = tensor.clamp_min(-1000) if clip_below_air else tensor
    expected = [((image - image.mean()) / image.std()).numpy() for image in tensor]
    np.testing.assert_allclose(images_of(volume, settings), expected, atol=2e-5)
    np.testing.assert_array_equal(volume.array, before)


def test_the_inert_clamp_leaves_padding_where_it_is():
    volume = phantom(AXIAL)
    volume.array[:, :4] = -3024
    lifted = Volume(np.maximum(volume.array, -1000), volume.geometry)
    assert np.abs(images_of(volume)[:, :, 16:] - images_of(lifted)[:, :, 16:]).max() > 0.3


@pytest.mark.parametrize(("start", "size"), [(0, 1), (0, 6), (0, 100), (2, 3), (5, 4)])
@pytest.mark.parametrize("scope", ["slice", "volume"])
def test_blocks_are_parts_of_the_whole(start, size, scope):
    settings = EncoderInputSettings(image_size=32, zscore_scope=scope)
    encoder_input = make_encoder_input(phantom(AXIAL), settings)
    whole = next(iter(encoder_input.blocks(0, 6)))
    blocks = list(encoder_input.blocks(start, size))
    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    np.testing.assert_array_equal(np.concatenate(blocks), whole[start:])


def test_pixels_keep_their_place():
    encoder_input = make_encoder_input(phantom(AXIAL, pixel_spacing=(1.2, 0.9)), SMALL)
    assert len(encoder_input) == 6
    np.testing.assert_allclose(encoder_input.geometry.spacing, [3.0, 1.2 * 40 / 32, 0.9 * 50 / 32])


@pytest.mark.parametrize("scope", ["slice", "volume"])
def test_a_constant_image_is_only_centred(scope):
    volume = Volume(np.full((2, 40, 50), 7, np.float32), phantom(AXIAL, shape=(2, 40, 50)).geometry)
    images = images_of(volume, EncoderInputSettings(image_size=32, zscore_scope=scope))
    np.testing.assert_allclose(images, 0, atol=1e-9)


def test_the_cast_truncates_toward_zero():
    """Values of one sign and of both: a cast that rounds or floors would differ."""
    volume = phantom(AXIAL)
    fractions = Volume(volume.array + np.sign(volume.array) * np.float32(0.75), volume.geometry)
    np.testing.assert_array_equal(images_of(fractions), images_of(volume))


def test_fractions_stay_where_the_site_wants_them():
    volume = phantom(AXIAL)
    scaled = Volume(volume.array / np.float32(4096), volume.geometry)
    settings = EncoderInputSettings(image_size=32, integer_cast="skip")
    np.testing.assert_allclose(images_of(scaled, settings), images_of(volume), atol=1e-5)


def standardised(array: np.ndarray, size: int) -> np.ndarray:
    """Slices of any scale through resize and z-score alone, stated again in torch."""
    tensor = torch.from_numpy(array.astype(np.float64))[:, None]
    tensor = torch.nn.functional.interpolate(tensor, (size, size), mode="bicubic", antialias=True)
    return ((tensor - tensor.mean((2, 3), keepdim=True)) / tensor.std((2, 3), keepdim=True)).numpy()


@pytest.mark.parametrize("scope", ["slice", "volume"])
@pytest.mark.parametrize("peak", [40000.0, 65535.0, 1.0, 3e-4, 1e-9, 1e12])
def test_a_series_that_the_cast_would_spoil_goes_without_it(peak: float, scope: str):
    """Philips' rescale gives values under 1, other MR goes up to 65535; the z-score takes every scale away."""
    volume = phantom(AXIAL)
    shape = (volume.array - volume.array.min()) / np.ptp(volume.array)
    scaled = Volume((shape * np.float32(peak)).astype(np.float32), volume.geometry)
    settings = EncoderInputSettings(image_size=32, zscore_scope=scope)
    encoder_input = make_encoder_input(scaled, settings)
    assert not encoder_input.settings.casts_to_int16
    assert "the published cast to int16 would" in encoder_input.remarks[0]
    kept = EncoderInputSettings(image_size=32, zscore_scope=scope, integer_cast="skip")
    np.testing.assert_array_equal(images_of(scaled, settings), images_of(scaled, kept))
    if scope == "slice":
        np.testing.assert_allclose(images_of(scaled), standardised(orient_for_encoder(scaled).array, 32), atol=2e-5)


@pytest.mark.parametrize(("deviation", "is_cast"), [(70, True), (50, False)])
def test_the_cast_may_take_one_percent_of_the_standard_deviation(deviation, is_cast):
    """Uniform fractions lose 0.577 (RMS of 0..1)."""
    noise = np.random.default_rng(0).normal(size=(20, 64, 64)) * deviation
    volume = Volume(noise.astype(np.float32), phantom(AXIAL, shape=(20, 64, 64)).geometry)
    encoder_input = make_encoder_input(volume, SMALL)
    assert encoder_input.settings.casts_to_int16 is is_cast
    said = "the published cast to int16 would take 0.577 (RMS) from values with a standard deviation of 50"
    assert [remark.startswith(said) for remark in encoder_input.remarks] == [True] * (not is_cast)


def test_one_value_beyond_int16_leaves_the_rest_as_it_was():
    volume = phantom(AXIAL)
    volume.array[0, 0, 0] = -40000
    np.testing.assert_allclose(images_of(volume)[1:], images_of(phantom(AXIAL))[1:], atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("clip_mode", ["inert", "effective"])
def test_values_that_are_not_finite_are_refused(value, clip_mode):
    volume = phantom(AXIAL)
    volume.array[5, 3, 2] = value
    with pytest.raises(UnsupportedPixelDataError, match="expected finite values"):
        make_encoder_input(volume, EncoderInputSettings(image_size=32, clip_mode=clip_mode))


@pytest.mark.gpu
@pytest.mark.parametrize("scale", [1.0, 1e-9])
@pytest.mark.parametrize("scope", ["slice", "volume"])
def test_the_gpu_makes_the_same_blocks(scope, scale):
    settings = EncoderInputSettings(image_size=32, zscore_scope=scope)
    volume = phantom(AXIAL, shape=(23, 40, 50))
    volume = Volume(volume.array * np.float32(scale), volume.geometry)
    on_gpu = make_encoder_input(volume, settings, select_array_module("cuda")).blocks(2, 4)
    images = np.concatenate([block.get() for block in on_gpu])
    np.testing.assert_allclose(images, images_of(volume, settings)[2:], atol=1e-4)
