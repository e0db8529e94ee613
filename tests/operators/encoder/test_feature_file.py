from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from operators.domain.features import FeatureVolume
from operators.encoder.feature_file import write_features
from phantoms import OBLIQUE, SeriesSpec

SPEC = SeriesSpec(shape=(3, 2, 4), row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1])


def some_features() -> FeatureVolume:
    rng = np.random.default_rng(0)
    return FeatureVolume(rng.normal(size=(3, 5)), rng.normal(size=(3, 8, 5)), SPEC.geometry)


def test_tensors_are_named_by_series_and_shaped_as_published(tmp_path: Path):
    features = some_features()
    tensors = load_file(write_features({"1.2.3": features}, tmp_path, with_tokens=True))
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "1.2.3/cls": (3, 5),
        "1.2.3/tokens": (3, 8, 5),
        "1.2.3/volume": (5,),
        "1.2.3/positions_lps_mm": (3, 3),
    }
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(tensors["1.2.3/volume"], features.cls.mean(axis=0), rtol=1e-6)
    # The middle of slice k lies between the second and third of four columns and between the two rows.
    expected = [SPEC.geometry.positions(np.array([k, 0.5, 1.5])) for k in range(3)]
    np.testing.assert_allclose(tensors["1.2.3/positions_lps_mm"], expected, rtol=1e-5)


def test_tokens_are_written_only_when_asked_for(tmp_path: Path):
    tensors = load_file(write_features({"1.2.3": some_features()}, tmp_path, with_tokens=False))
    assert "1.2.3/tokens" not in tensors
