"""Similarity asked of a worker that read a study: the same as the encoder's own tokens give."""

import base64
from pathlib import Path

import numpy as np
import pytest

from app.pipeline import Pipeline
from app.settings import DEMO_MODEL, Settings
from app.worker.prompting import cut_region, map_similarity
from app.worker.protocol import Point, ReadRequest, RegionRequest, SimilarityRequest
from app.worker.reading import read_study
from operators.dicom.selection.series_selection import select_series
from operators.dicom.study.study_index import index_study
from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.evidence import above
from operators.heads.measurements import longest_diameter_mm, volume_ml
from phantoms import SeriesSpec, build_datasets, save_series


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.load(DEMO_MODEL, Settings.read(None, device="cpu"))


@pytest.fixture(scope="module")
def folder(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a study, and the features that were kept of it."""
    folder = tmp_path_factory.mktemp("prompting")
    save_series(build_datasets(SeriesSpec(shape=(4, 64, 64))), folder / "study")
    (folder / "features").mkdir()
    request = ReadRequest(id="r", input=folder / "study", output=folder / "output", features=folder / "features")
    assert read_study(pipeline, request).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def encoded(pipeline: Pipeline, folder: Path) -> tuple[str, FeatureVolume, Geometry]:
    """UID, features and grid of the one series, encoded once more without a service."""
    scratch = folder / "scratch"
    scratch.mkdir()
    study = index_study(folder / "study", scratch=scratch, limits=pipeline.chain.limits)
    decisions = pipeline.chain.look_again(select_series(study, pipeline.chain.rules, limits=pipeline.chain.limits))
    source = pipeline.chain.read(next(one for one in decisions if one.selected))
    features = pipeline.chain.encode(pipeline.chain.prepare(source), scratch=scratch)
    return source.series_instance_uid, features, source.volume.geometry


def cosines(features: FeatureVolume, token: tuple[int, int, int]) -> np.ndarray:
    tokens = np.asarray(features.tokens[0 : features.geometry.shape[0]], np.float64)
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    of = tokens.reshape(*features.geometry.shape, -1)
    return of @ of[token]


def test_a_map_is_the_cosine_of_every_token_with_the_one_that_was_pointed_at(
    folder: Path, encoded: tuple[str, FeatureVolume, Geometry]
) -> None:
    uid, features, _ = encoded
    token = (2, 10, 17)
    point = Point(series=uid, point_lps_mm=tuple(features.geometry.positions(np.array(token))), label=1)
    reply = map_similarity(SimilarityRequest(id="s", features=folder / "features", points=(point,)))
    (found,) = reply.maps
    assert (reply.exit_code, found.series, found.is_prior) == (0, uid, False)
    np.testing.assert_allclose(found.affine, features.geometry.affine)
    values = np.frombuffer(base64.b64decode(found.values), np.uint8).reshape(found.shape)
    assert values[token] == 255
    np.testing.assert_allclose(values / 255, np.clip(cosines(features, token), 0, 1), atol=0.5 / 255 + 1e-3)


def test_a_region_is_what_the_map_shows_above_the_threshold_and_is_measured(
    folder: Path, encoded: tuple[str, FeatureVolume, Geometry]
) -> None:
    uid, features, source = encoded
    token = (1, 16, 16)
    point = Point(series=uid, point_lps_mm=tuple(features.geometry.positions(np.array(token))), label=1)
    similarity = cosines(features, token).astype(np.float32)
    threshold = float(np.quantile(similarity, 0.9))
    reply = cut_region(RegionRequest(id="c", features=folder / "features", points=(point,), threshold=threshold))
    region = reply.region
    assert region is not None
    size = int(np.prod(region.shape))
    mask = np.unpackbits(np.frombuffer(base64.b64decode(region.bits), np.uint8), count=size, bitorder="little")
    mask = mask.reshape(region.shape).astype(bool)
    box = Geometry(np.array(region.affine), region.shape)
    start = np.rint(source.indices(box.positions(np.zeros(3)))).astype(int)
    inside = tuple(slice(a, a + n) for a, n in zip(start, region.shape, strict=True))
    # Kept features are rounded: what lies on the threshold may fall to either side.
    whole = above(Volume(similarity, features.geometry), threshold - 2e-3, source)
    assert not (mask & ~whole[inside]).any()
    assert region.volume_ml == pytest.approx(volume_ml(mask, box))
    assert region.longest_diameter_mm == pytest.approx(longest_diameter_mm(mask, box))
    assert region.longest_diameter_mm >= region.long_axis_mm >= region.short_axis_mm > 0


def test_what_is_less_alike_than_asked_is_no_region_and_words_say_what_is_wrong(
    folder: Path, encoded: tuple[str, FeatureVolume, Geometry]
) -> None:
    uid, features, _ = encoded
    point = Point(series=uid, point_lps_mm=tuple(features.geometry.positions(np.array((1, 16, 16)))), label=1)
    asked = RegionRequest(id="c", features=folder / "features", points=(point,), threshold=1.5)
    assert cut_region(asked).region is None
    far = point.model_copy(update={"point_lps_mm": (1e4, 0.0, 0.0)})
    refused = map_similarity(SimilarityRequest(id="s", features=folder / "features", points=(far,)))
    assert refused.exit_code == 4
    assert "point into the image" in (refused.message or "")
    gone = map_similarity(SimilarityRequest(id="s", features=folder / "output", points=(point,)))
    assert "have the study encoded again" in (gone.message or "")
