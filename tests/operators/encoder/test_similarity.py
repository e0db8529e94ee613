"""Similarity maps against cosines worked out by hand and by the formula."""

from pathlib import Path

import numpy as np
import pytest

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.prompt import PromptPoint
from operators.encoder.kept_features import keep_features, kept_features
from operators.encoder.similarity import EXCLUDED, similarity_maps
from operators.errors import InputError

GRID = Geometry(np.array([[0, 0, 16, 8], [0, 16, 0, 8], [5, 0, 0, 0], [0, 0, 0, 1]], float), (2, 2, 2), "1.2.3")
SOURCE = Geometry(np.array([[0, 0, 1, 0.5], [0, 1, 0, 0.5], [5, 0, 0, 0], [0, 0, 0, 1]], float), (2, 32, 32), "1.2.3")
# Angles of two-dimensional tokens, in degrees, by slice and place; lengths are another matter.
ANGLES = np.array([[0, 30, 60, 90], [10, 180, 270, 45]], float)


def features(angles: np.ndarray = ANGLES) -> FeatureVolume:
    lengths = 1.0 + np.arange(angles.size).reshape(angles.shape)
    directions = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=-1)
    tokens = (lengths[..., None] * directions).astype(np.float32)
    return FeatureVolume(np.zeros((2, 2), np.float32), tokens, GRID)


def at(slice_: int, row: int, column: int, label: int = 1, series: str = "1") -> PromptPoint:
    x, y, z = GRID.positions(np.array([slice_, row, column]))
    # Anywhere in the token, not only in its middle.
    return PromptPoint(series, (x + 7.0, y - 7.0, z + 2.0), label)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keep_features([("1", features(), SOURCE), ("2", features(ANGLES[::-1]), SOURCE)], tmp_path, priors=frozenset({"2"}))
    return tmp_path


def test_one_point_gives_every_tokens_cosine_with_its_token(folder: Path) -> None:
    current, prior = similarity_maps(kept_features(folder), [at(0, 0, 1)])
    expected = np.cos(np.radians(ANGLES - 30)).reshape(2, 2, 2)
    np.testing.assert_allclose(current.array, expected, atol=1e-3)
    np.testing.assert_allclose(prior.array, expected[::-1], atol=1e-3)
    assert current.geometry.shape == GRID.shape
    np.testing.assert_array_equal(current.geometry.affine, GRID.affine)


def test_of_several_positive_points_the_most_alike_counts(folder: Path) -> None:
    current, _ = similarity_maps(kept_features(folder), [at(0, 0, 0), at(1, 1, 0)])
    expected = np.maximum(np.cos(np.radians(ANGLES)), np.cos(np.radians(ANGLES - 270))).reshape(2, 2, 2)
    np.testing.assert_allclose(current.array, expected, atol=1e-3)


def test_what_is_more_like_a_negative_point_is_excluded(folder: Path) -> None:
    current, _ = similarity_maps(kept_features(folder), [at(0, 0, 0), at(0, 1, 1, label=-1)])
    # 90 degrees is the negative point, 0 the positive one: beyond 45 degrees towards the former, tokens are out.
    excluded = np.array([[0, 0, 1, 1], [0, 1, 0, 0]], bool).reshape(2, 2, 2)
    assert (current.array[excluded] == EXCLUDED).all()
    np.testing.assert_allclose(
        current.array[~excluded], np.cos(np.radians(ANGLES)).reshape(2, 2, 2)[~excluded], atol=1e-3
    )


def test_a_point_in_the_prior_asks_for_what_is_like_it_in_the_current_study(folder: Path) -> None:
    current, _ = similarity_maps(kept_features(folder), [at(0, 0, 1, series="2")])
    np.testing.assert_allclose(current.array, np.cos(np.radians(ANGLES - 180)).reshape(2, 2, 2), atol=1e-3)


def test_the_series_come_back_as_they_were_kept(folder: Path) -> None:
    first, second = kept_features(folder)
    assert (first.series_instance_uid, first.is_prior, second.is_prior) == ("1", False, True)
    assert first.source.shape == (2, 32, 32)
    assert first.geometry.frame_of_reference_uid == "1.2.3"
    np.testing.assert_allclose(np.linalg.norm(first.tokens[0:2], axis=-1), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([at(0, 0, 0, label=-1)], "at least one with the label 1"),
        ([], "at least one with the label 1"),
        ([PromptPoint("1", (100.0, 0.0, 0.0), 1)], "outside series 1"),
        ([at(0, 0, 0, series="3")], "series 3 was not encoded"),
    ],
)
def test_points_that_say_nothing_are_refused(folder: Path, points: list[PromptPoint], message: str) -> None:
    with pytest.raises(InputError, match=message):
        similarity_maps(kept_features(folder), points)


def test_a_folder_whose_list_never_came_holds_nothing(folder: Path) -> None:
    (folder / "kept.json").unlink()
    with pytest.raises(InputError, match="have the study encoded again"):
        kept_features(folder)
