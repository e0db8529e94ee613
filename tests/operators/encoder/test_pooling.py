import numpy as np
import pytest
import torch

from operators.domain.features import BLOCK, FeatureVolume
from operators.domain.geometry import Geometry
from operators.encoder.pooling import mean_pooled, roi_pooled, tokens_under_mask
from operators.errors import InputError

PATCH = 4
GRID = (5, 3, 6)


def some_features(slices: int = GRID[0]) -> FeatureVolume:
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(slices, GRID[1] * GRID[2], 7)).astype(np.float32)
    return FeatureVolume(tokens[:, 0], tokens, Geometry(np.eye(4), (slices, *GRID[1:])))


def test_mean_of_each_slice_over_several_blocks() -> None:
    features = some_features(2 * BLOCK + 3)
    np.testing.assert_allclose(mean_pooled(features), features.tokens.mean(axis=1), atol=1e-6)


def published(mask: np.ndarray) -> np.ndarray:
    """The published head's steps for one mask, as they are told: resize, cut, max-pool."""
    size = (GRID[1] * PATCH, GRID[2] * PATCH)
    resized = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None].float(), size, mode="bilinear")
    binary = resized > 0.5
    if not binary.any():
        binary = resized > resized.max() / 2
    return torch.nn.functional.max_pool2d(binary.float(), PATCH).flatten().numpy() > 0


@pytest.mark.parametrize("box", [(3, 9, 10, 30), (0, 20, 0, 2), (7, 8, 14, 15), (18, 19, 38, 39)])
def test_tokens_under_a_mask_are_the_published_heads(box: tuple[int, int, int, int]) -> None:
    """The last two boxes are one voxel, of which shrinking leaves less than one half."""
    mask = np.zeros((20, 40), bool)
    mask[box[0] : box[1], box[2] : box[3]] = True
    features = some_features(1)
    covered = tokens_under_mask(features, mask[None], patch_size=PATCH)
    np.testing.assert_array_equal(covered[0], published(mask))
    expected = features.tokens[0][published(mask)].mean(axis=0)
    np.testing.assert_allclose(roi_pooled(features, mask[None], patch_size=PATCH), expected, atol=1e-6)


def test_a_mask_on_the_tokens_own_grid_picks_them_and_no_others() -> None:
    features = some_features()
    mask = np.zeros((GRID[0], GRID[1] * PATCH, GRID[2] * PATCH), bool)
    mask[1, 4:8, 8:12] = mask[4, 0, 23] = True
    covered = tokens_under_mask(features, mask, patch_size=PATCH)
    assert np.argwhere(covered).tolist() == [[1, 6 + 2], [4, 5]]
    expected = (features.tokens[1, 8] + features.tokens[4, 5]) / 2
    np.testing.assert_allclose(roi_pooled(features, mask, patch_size=PATCH), expected, atol=1e-6)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="nothing of the mask is left at the encoder's 12 x 24 pixels"):
        roi_pooled(some_features(), np.zeros((GRID[0], 12, 24), bool), patch_size=PATCH)


def test_a_mask_of_another_series_is_refused() -> None:
    with pytest.raises(ValueError, match="one slice for each of the features' 5, got 4"):
        roi_pooled(some_features(), np.ones((4, 12, 24), bool), patch_size=PATCH)
