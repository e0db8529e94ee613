"""What may be wrong with a head or its input: each gives an error that names it, or "not evaluated", for every kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoder_cases import TINY, random_input, write_random_snapshot
from head_cases import SLICES, WIDTH, random_features, read_kind, series_of, write_kind, write_published
from operators.domain.features import FeatureVolume
from operators.encoder.snapshot import read_snapshot
from operators.errors import CheckpointError, ModelDigestError, ModelError
from operators.heads.head import Head, HeadFolder, ask
from operators.heads.kinds import KINDS, read_head
from operators.model.model_folder import read_model
from trainer.export.model_folder import write_digests, write_model_file

HIDDEN = 2
CODE = {"value": "1", "scheme": "99X", "meaning": "a"}
DECODER = {
    "narrow.weight": (HIDDEN, WIDTH),
    "narrow.bias": (HIDDEN,),
    "level1.weight": (HIDDEN, HIDDEN + 1, 3, 3),
    "level1.bias": (HIDDEN,),
    "classes.weight": (1, HIDDEN),
    "classes.bias": (1,),
}
UNET = {
    "narrow.weight": (HIDDEN, WIDTH),
    "narrow.bias": (HIDDEN,),
    "classes.weight": (1, HIDDEN),
    "classes.bias": (1,),
    **{
        f"down{grid}.first.weight": (HIDDEN, came, 3, 3) for grid, came in enumerate((1, 2 * HIDDEN, HIDDEN, HIDDEN), 1)
    },
    **{f"down{grid}.second.weight": (HIDDEN, HIDDEN, 3, 3) for grid in (1, 2, 3, 4)},
    **{f"down{grid}.{part}.bias": (HIDDEN,) for grid in (1, 2, 3, 4) for part in ("first", "second")},
    **{f"up{grid}.weight": (HIDDEN, 2 * HIDDEN, 3, 3) for grid in (1, 2, 3)},
    **{f"up{grid}.bias": (HIDDEN,) for grid in (1, 2, 3)},
}
GATE = {
    "tanh.weight": (3, WIDTH),
    "tanh.bias": (3,),
    "sigmoid.weight": (3, WIDTH),
    "sigmoid.bias": (3,),
    "score.weight": (1, 3),
    "score.bias": (1,),
    "classifier.weight": (2, WIDTH),
    "classifier.bias": (2,),
}
DRAWN = {"top_tokens": 2, "calibration": {"slope": 1.0, "intercept": 0.0}, "threshold": 0.5, "mask_threshold": 0.0}
OWN: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, tuple[int, ...]]]] = {
    # task/kind: own keys of head.toml, labels, shapes of the tensors
    "classification/linear": ({"inputs": ["mean-token"]}, ("a", "b"), {"weight": (2, WIDTH), "bias": (2,)}),
    "classification/multi-label": ({"inputs": ["mean-token"]}, ("a", "b"), {"weight": (2, WIDTH), "bias": (2,)}),
    "classification/ordinal": ({"inputs": ["mean-token"]}, ("a", "b", "c"), {"weight": (1, WIDTH), "bias": (2,)}),
    "classification/instance-attention": ({"instances": ["tokens"]}, ("a", "b"), GATE),
    "classification/prototypes": (
        {"inputs": ["mean-token"], "scale": 10.0},
        ("a", "b"),
        {"examples": (2, WIDTH), "classes": (2,)},
    ),
    "regression/linear": ({"inputs": ["mean-token"]}, (), {"weight": (1, WIDTH), "bias": (1,)}),
    "survival/cox": (
        {"inputs": ["mean-token"], "event": "death"},
        (),
        {"weight": (WIDTH,), "mean": (WIDTH,), "baseline_days": (2,), "baseline_hazard": (2,)},
    ),
    "segmentation/linear": (
        {"inputs": ["tokens"], "subdivision": 1, "minimum_volume_ml": 0.0},
        ("a",),
        {"weight": (1, WIDTH), "bias": (1,)},
    ),
    "segmentation/decoder": ({"levels": 1}, ("a",), DECODER),
    "segmentation/unet": ({"levels": 1}, ("a",), UNET),
    "finding/linear": (
        DRAWN | {"inputs": ["tokens"], "minimum_volume_ml": 0.0},
        ("a",),
        {"weight": (1, WIDTH), "bias": (1,)},
    ),
    "finding/decoder": (DRAWN | {"levels": 1, "minimum_volume_ml": 0.0}, ("a",), DECODER),
    "finding/unet": (DRAWN | {"levels": 1, "minimum_volume_ml": 0.0}, ("a",), UNET),
    "body-region/linear": (
        {"inputs": ["cls", "mean-token"], "code": CODE},
        ("head", "chest"),
        {"weight": (2, 2 * WIDTH), "bias": (2,)},
    ),
}
LABELLED = [kind for kind, (_, labels, _) in OWN.items() if labels]


def written(folder: Path, kind: str, *, labels: tuple[str, ...] | None = None, without: str = "") -> Path:
    record, names, shapes = OWN[kind]
    task, _, word = kind.partition("/")
    rising = ("classes", "baseline_days", "baseline_hazard")
    tensors = {
        name: np.arange(shape[0], dtype=float) + (name == "baseline_days") if name in rising else np.full(shape, 0.1)
        for name, shape in shapes.items()
        if name != without
    }
    about = {"task": task, "kind": word} | record
    return write_kind(folder, about, names if labels is None else labels, tensors, category=True)


def read(folder: Path, kind: str) -> Head:
    return read_kind(written(folder, kind))


def test_every_kind_stands_here(tmp_path: Path) -> None:
    assert {tuple(kind.split("/")) for kind in OWN} == set(KINDS)
    for kind in OWN:
        assert read(tmp_path / kind, kind).record.task == kind.partition("/")[0]


@pytest.mark.parametrize("kind", LABELLED)
def test_a_wrong_label_map(tmp_path: Path, kind: str) -> None:
    """One label more than the tensors have outputs."""
    labels = (*OWN[kind][1], "one too many")
    with pytest.raises(CheckpointError, match=r"encoder ask for shape|expected one label|of each of 3 labels"):
        read_kind(written(tmp_path / "head", kind, labels=labels))


@pytest.mark.parametrize("file", ["head.toml", "labels.toml", "model.safetensors"])
def test_a_wrong_digest(tmp_path: Path, file: str) -> None:
    snapshot = read_snapshot(write_random_snapshot(TINY, tmp_path / "encoder"))
    record = {"task": "classification", "kind": "multi-label", "inputs": ["cls"], "encoder_sha256": snapshot.sha256}
    tensors = {"weight": np.ones((1, WIDTH)), "bias": np.ones(1)}
    write_kind(tmp_path / "heads/lung", record, ("a",), tensors)
    about = {"name": "tiny", "version": "1", "demonstration": True, "licence": "none", "intended_use": "tests"}
    write_model_file(about, tmp_path)
    write_digests(tmp_path)
    read_model(tmp_path)
    changed = tmp_path / "heads/lung" / file
    changed.write_bytes(changed.read_bytes() + b"\n")
    with pytest.raises(ModelDigestError, match=f"heads/lung/{file}"):
        read_model(tmp_path)


@pytest.mark.parametrize(("kind", "tensor"), [(kind, name) for kind, (_, _, shapes) in OWN.items() for name in shapes])
def test_a_missing_tensor(tmp_path: Path, kind: str, tensor: str) -> None:
    with pytest.raises(CheckpointError, match=rf"head/model\.safetensors.*{tensor.replace('.', chr(92) + '.')}"):
        read_kind(written(tmp_path / "head", kind, without=tensor))


@pytest.mark.parametrize("config", [{}, {"attention_cfg": {}, "num_slices": 3}], ids=["slice", "volume"])
def test_a_mask_of_another_shape(tmp_path: Path, config: dict[str, Any]) -> None:
    head, series = published(tmp_path, **config)
    shape = series.source.shape
    with pytest.raises(ValueError, match=r"mask of 'knee': expected the source's shape \(20, 64, 64\), got \(20, 32"):
        ask([head], series_of(series.features, masks={"knee": np.ones(shape, bool)[:, ::2]}))


@pytest.mark.parametrize("config", [{}, {"attention_cfg": {}, "num_slices": 3}], ids=["slice", "volume"])
def test_an_empty_region(tmp_path: Path, config: dict[str, Any]) -> None:
    """Of a head that reads one: not evaluated."""
    head, series = published(tmp_path, **config)
    (answer,) = ask([head], series_of(series.features, masks={"knee": np.zeros(series.source.shape, bool)}))
    assert [(finding.probability, finding.present) for finding in answer.findings] == [(None, None)] * 3
    assert {finding.not_evaluated for finding in answer.findings} == {
        "needs a region: no segment 'knee' was found in this series"
    }


@pytest.mark.parametrize("kind", OWN)
def test_nan_in_features(tmp_path: Path, kind: str) -> None:
    features, encoder_input = random_features(), random_input(64, slices=SLICES)
    features.tokens[17, 3, 1] = np.nan
    with pytest.raises(ModelError, match=rf"series 1\.5: expected finite values, slices 17 to {SLICES}"):
        ask([read(tmp_path, kind)], series_of(features, encoder_input=encoder_input))


def published(folder: Path, **config: Any) -> tuple[Head, Any]:
    """A head of three classes that reads the region "knee", and a series."""
    snapshot = read_snapshot(write_random_snapshot(TINY, folder / "encoder"))
    write_published(folder / "head", snapshot, **config)
    (folder / "head/head.toml").write_text('mask_segment = "knee"')
    plain = random_features()
    states = np.concatenate([plain.cls[:, None], plain.tokens], axis=1)
    features = FeatureVolume(plain.cls, plain.tokens, plain.geometry, states)
    return read_head(HeadFolder(folder / "head", snapshot, "ab" * 32)), series_of(features)
