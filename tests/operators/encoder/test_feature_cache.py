import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoder_cases import TINY, random_input, write_random_snapshot
from operators.domain.features import EncoderInput
from operators.domain.volume import Volume
from operators.encoder.feature_cache import FeatureCache
from operators.encoder.features import Encoder
from operators.encoder.snapshot import read_snapshot
from operators.errors import ModelError

LARGE = 10**9


@pytest.fixture(scope="module")
def snapshot_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_snapshot(TINY, tmp_path_factory.mktemp("snapshot"))


@pytest.fixture(scope="module")
def encoder(snapshot_folder: Path) -> Encoder:
    return Encoder(read_snapshot(snapshot_folder))


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache", LARGE)


def some_input(seed: int = 0) -> EncoderInput:
    return random_input(64, slices=3, seed=seed)


def entries(cache: FeatureCache) -> list[Path]:
    return sorted(cache.folder.iterdir(), key=lambda path: path.stat().st_mtime)


def test_features_come_back_as_they_were(cache: FeatureCache, encoder: Encoder) -> None:
    assert cache.entry(some_input(), encoder).find() is None
    expected = encoder.encode(some_input())
    for features in (cache.entry(some_input(), encoder).encode(), cache.entry(some_input(), encoder).find()):
        assert features is not None
        np.testing.assert_array_equal(features.cls, expected.cls)
        np.testing.assert_array_equal(features.tokens[:], expected.tokens)
        np.testing.assert_array_equal(features.geometry.affine, expected.geometry.affine)
    assert [path.suffix for path in entries(cache)] == [".safetensors"]


def other_voxel(encoder_input: EncoderInput) -> EncoderInput:
    array = encoder_input.source.array.copy()
    array[1, 2, 3] += 1
    return replace(encoder_input, source=Volume(array, encoder_input.source.geometry))


def other_place(encoder_input: EncoderInput) -> EncoderInput:
    geometry = encoder_input.geometry.flipped(1)
    return replace(encoder_input, source=Volume(encoder_input.source.array, geometry), geometry=geometry)


def other_settings(encoder_input: EncoderInput) -> EncoderInput:
    return replace(encoder_input, settings=replace(encoder_input.settings, zscore_scope="volume"))


@pytest.mark.parametrize("change", [other_voxel, other_place, other_settings])
def test_another_input_is_not_found(cache: FeatureCache, encoder: Encoder, change: object) -> None:
    cache.entry(some_input(), encoder).encode()
    assert cache.entry(change(some_input()), encoder).find() is None


def test_another_precision_is_not_found(cache: FeatureCache, encoder: Encoder, snapshot_folder: Path) -> None:
    cache.entry(some_input(), encoder).encode()
    assert cache.entry(some_input(), Encoder(read_snapshot(snapshot_folder), precision="bfloat16")).find() is None


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-7], lambda content: content[:-1] + b"\x01", lambda _: b""]
)
def test_a_damaged_entry_is_dropped_and_made_again(cache: FeatureCache, encoder: Encoder, damage: object) -> None:
    expected = cache.entry(some_input(), encoder).encode().tokens[:]
    (path,) = entries(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.entry(some_input(), encoder).find() is None
    assert entries(cache) == []
    cache.entry(some_input(), encoder).encode()
    found = cache.entry(some_input(), encoder).find()
    assert found is not None
    np.testing.assert_array_equal(found.tokens[:], expected)


def test_the_least_recently_used_goes(tmp_path: Path, encoder: Encoder) -> None:
    cache = FeatureCache(tmp_path, LARGE)
    for seed, age in ((1, 300), (2, 200)):
        cache.entry(some_input(seed), encoder).encode()
        os.utime(entries(cache)[-1], (0, time.time() - age))
    size = entries(cache)[0].stat().st_size
    assert cache.entry(some_input(1), encoder).find() is not None
    FeatureCache(tmp_path, 2 * size + 10).entry(some_input(3), encoder).encode()
    there = [seed for seed in (1, 2, 3) if cache.entry(some_input(seed), encoder).find() is not None]
    assert there == [1, 3]


def test_an_entry_over_the_limit_is_used_but_not_kept(tmp_path: Path, encoder: Encoder) -> None:
    features = FeatureCache(tmp_path, 100).entry(some_input(), encoder).encode()
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(features.tokens[:], encoder.encode(some_input()).tokens)


def test_a_run_that_fails_leaves_nothing(cache: FeatureCache, encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="expected 64 pixels"):
        cache.entry(random_input(32, slices=2), encoder).encode()
    assert entries(cache) == []


def test_files_that_were_begun_long_ago_go(cache: FeatureCache, encoder: Encoder) -> None:
    for name, age in (("old.part", 2 * 24 * 3600), ("young.part", 60)):
        (cache.folder / name).write_bytes(b"")
        os.utime(cache.folder / name, (0, time.time() - age))
    cache.entry(some_input(), encoder).encode()
    assert [path.name for path in cache.folder.glob("*.part")] == ["young.part"]


def test_two_share_a_folder(tmp_path: Path, encoder: Encoder) -> None:
    """Room for a few entries only, so that each drops what the other reads; all that they share are the files."""
    expected = {seed: encoder.encode(some_input(seed)).tokens for seed in range(8)}

    def use(seeds: list[int]) -> bool:
        entries = [FeatureCache(tmp_path, 50_000).entry(some_input(seed), encoder) for seed in seeds]
        used = [entry.find() or entry.encode() for entry in entries]
        return all(
            np.array_equal(features.tokens[:], expected[seed]) for seed, features in zip(seeds, used, strict=True)
        )

    seeds = [*range(8)] * 4
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(use, (seeds, seeds[::-1]))) == [True, True]
    assert 0 < sum(path.stat().st_size for path in tmp_path.iterdir()) <= 50_000
    assert list(tmp_path.glob("*.part")) == []


def test_a_folder_that_cannot_be_made_is_a_wrong_deployment(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="feature cache: .*/file/cache cannot be made"):
        FeatureCache(tmp_path / "file" / "cache", LARGE)


def test_states_before_the_norm_have_an_entry_of_their_own(cache: FeatureCache, encoder: Encoder) -> None:
    cache.entry(some_input(), encoder).encode()
    entry = cache.entry(some_input(), encoder, blocks=2)
    assert entry.find() is None
    expected = encoder.encode(some_input(), blocks=2)
    for features in (entry.encode(), entry.find()):
        assert features is not None
        np.testing.assert_array_equal(features.tokens[:], expected.tokens)
        np.testing.assert_array_equal(features.states[1:], expected.states[1:])
    assert expected.states.shape == (3, 17, 2 * TINY.hidden_size)
    plain = cache.entry(some_input(), encoder).find()
    assert plain is not None
    assert plain.states is None
