from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from head_cases import WIDTH, answer_of, random_features, read_kind, series_of, write_kind
from operators.errors import CheckpointError
from operators.heads.distance import FeatureFit
from operators.heads.head import Needs

RNG = np.random.default_rng(3)


def test_the_distance_is_that_of_the_whole_covariance() -> None:
    axes = np.linalg.qr(RNG.normal(size=(6, 6)))[0][:2]
    variances, residual, mean = np.array([4.0, 2.0]), 0.5, RNG.normal(size=6)
    covariance = axes.T @ np.diag(variances) @ axes + residual * (np.eye(6) - axes.T @ axes)
    vector = RNG.normal(size=6)
    expected = np.sqrt((vector - mean) @ np.linalg.inv(covariance) @ (vector - mean))
    assert FeatureFit(mean, axes, variances, residual).distance(vector) == pytest.approx(expected)


def folder_with(tmp_path: Path, limit: float, **tensors: Any) -> Path:
    record = {
        "task": "classification",
        "kind": "multi-label",
        "inputs": ["cls"],
        "distance": {"inputs": ["cls", "mean-token"], "limit": limit, "percentile": 99.0},
    }
    weights = {"weight": RNG.normal(size=(2, WIDTH)), "bias": np.zeros(2)}
    folder = write_kind(tmp_path, record, ("nodule", "effusion"), weights)
    fit = {
        "mean": np.zeros(2 * WIDTH),
        "axes": np.eye(2 * WIDTH)[:3],
        "variances": np.ones(3),
        "residual": np.ones(1),
    } | tensors
    save_file({name: array.astype(np.float32) for name, array in fit.items()}, folder / "scope.safetensors")
    return folder


def test_a_series_unlike_the_training_set_is_not_judged(tmp_path: Path) -> None:
    features = random_features()
    vector = np.concatenate([features.cls.mean(axis=0), features.tokens.mean(axis=(0, 1))])
    distance = float(np.linalg.norm(vector))
    assert all(
        finding.probability
        for finding in answer_of(folder_with(tmp_path, distance + 0.01), series_of(features)).findings
    )
    far = answer_of(folder_with(tmp_path, distance - 0.01), series_of(features))
    for finding in far.findings:
        assert (finding.probability, finding.present) == (None, None)
        assert finding.not_evaluated == (
            f"unlike its training set: its features lie at a distance of {distance:.1f}, 99 % of that set within "
            f"{distance - 0.01:.1f}"
        )
    assert read_kind(folder_with(tmp_path, 1.0)).needs == Needs(tokens=True)


def test_a_fit_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="scope.safetensors: expected variances above 0"):
        read_kind(folder_with(tmp_path, 1.0, variances=np.zeros(3)))
    with pytest.raises(CheckpointError, match=r"scope.safetensors: mean: .* ask for shape \(48,\)"):
        read_kind(folder_with(tmp_path, 1.0, mean=np.zeros(WIDTH)))
    (folder_with(tmp_path, 1.0) / "scope.safetensors").unlink()
    with pytest.raises(CheckpointError, match="lung/scope.safetensors: variances cannot be read|scope.safetensors"):
        read_kind(tmp_path)
