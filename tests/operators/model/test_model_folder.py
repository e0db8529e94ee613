import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import app
from operators.errors import CheckpointError, ModelDigestError
from operators.model.model_folder import read_model
from trainer.export.model_folder import write_digests

DEMO_MODEL = Path(app.__path__[0]) / "demo_model"


def test_reads_encoder_and_heads(model_folder: Path) -> None:
    model = read_model(model_folder)
    assert (model.name, model.version, model.demonstration) == ("tiny", "1", True)
    assert [head.record.name for head in model.heads.all] == ["region", "organs", "mass"]
    assert all(head.record.encoder_sha256 == model.snapshot.sha256 for head in model.heads.all)
    assert len({head.algorithm.sha256 for head in model.heads.all}) == 3


def test_a_bare_snapshot_is_an_encoder_without_heads(model_folder: Path) -> None:
    model = read_model(model_folder / "encoder")
    assert model.heads.all == ()
    assert not model.demonstration
    np.testing.assert_array_equal(
        model.snapshot.state_dict["norm.weight"], read_model(model_folder).snapshot.state_dict["norm.weight"]
    )


@pytest.mark.parametrize("file", ["encoder/config.json", "heads/mass/head.toml", "model.toml"])
def test_refuses_a_changed_file(model_folder: Path, file: str) -> None:
    with (model_folder / file).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ModelDigestError, match=rf"{file}.*nothing was loaded"):
        read_model(model_folder)


def test_refuses_a_missing_and_an_unlisted_file(model_folder: Path) -> None:
    (model_folder / "heads/mass/labels.toml").rename(model_folder / "heads/mass/other.toml")
    with pytest.raises(ModelDigestError, match=r"labels\.toml.*gone"):
        read_model(model_folder)
    (model_folder / "heads/mass/other.toml").rename(model_folder / "heads/mass/labels.toml")
    (model_folder / "more.txt").touch()
    with pytest.raises(ModelDigestError, match=r"more\.txt: SHA256SUMS says nothing"):
        read_model(model_folder)


def test_refuses_without_digests(model_folder: Path) -> None:
    (model_folder / "SHA256SUMS").unlink()
    with pytest.raises(ModelDigestError, match="SHA256SUMS not found"):
        read_model(model_folder)


def test_a_changed_threshold_is_another_head(model_folder: Path) -> None:
    before = read_model(model_folder)
    edit(model_folder / "heads/mass/head.toml", "threshold = 0.5", "threshold = 0.6")
    after = read_model(model_folder)
    assert before.digest != after.digest
    assert before.heads.all[2].algorithm.sha256 != after.heads.all[2].algorithm.sha256


@pytest.mark.parametrize(
    ("file", "old", "new", "error", "message"),
    [
        ("heads/mass/head.toml", 'encoder_sha256 = "', 'encoder_sha256 = "00', CheckpointError, "encoder_sha256"),
        (
            "heads/mass/head.toml",
            'task = "finding"',
            'task = "guess"',
            CheckpointError,
            "task 'guess'.*finding/linear",
        ),
        ("heads/mass/head.toml", "threshold = 0.5", "threshold = 1.5", CheckpointError, "threshold"),
        ("heads/mass/head.toml", "slope = 1.0", "slope = ", CheckpointError, "not valid TOML"),
        ("heads/organs/head.toml", "subdivision = 2", "subdivision = 3", CheckpointError, r"\(27, 24\).*\(12, 24\)"),
        ("model.toml", 'licence = "none"', "", CheckpointError, "licence"),
    ],
)
def test_refuses_malformed_files(
    model_folder: Path, file: str, old: str, new: str, error: type[Exception], message: str
) -> None:
    edit(model_folder / file, old, new)
    with pytest.raises(error, match=message):
        read_model(model_folder)


def test_refuses_a_head_of_another_encoder(model_folder: Path) -> None:
    sha256 = read_model(model_folder).snapshot.sha256
    edit(model_folder / "heads/mass/head.toml", sha256, "ab" * 32)
    with pytest.raises(ModelDigestError, match=f"head mass.*abababababab.*{sha256[:12]}"):
        read_model(model_folder)


def test_refuses_two_body_region_heads(model_folder: Path) -> None:
    shutil.copytree(model_folder / "heads/region", model_folder / "heads/region2")
    write_digests(model_folder)
    with pytest.raises(CheckpointError, match="at most one body-region head, found 2"):
        read_model(model_folder)


def test_refuses_two_heads_of_one_name(model_folder: Path) -> None:
    shutil.copytree(model_folder / "heads/mass", model_folder / "heads/mass2")
    write_digests(model_folder)
    with pytest.raises(CheckpointError, match="two of them are named 'mass'"):
        read_model(model_folder)


def test_refuses_labels_of_one_name_and_weights_that_are_not_finite(model_folder: Path) -> None:
    edit(model_folder / "heads/organs/labels.toml", 'name = "liver"', 'name = "lung"')
    with pytest.raises(CheckpointError, match="organs/labels.toml: 'lung' names two outputs"):
        read_model(model_folder)
    edit(model_folder / "heads/organs/labels.toml", 'name = "lung"', 'name = "liver"', count=1)
    path = model_folder / "heads/mass/model.safetensors"
    save_file(load_file(path) | {"bias": np.array([np.inf], np.float32)}, path)
    write_digests(model_folder)
    with pytest.raises(CheckpointError, match="mass/model.safetensors: bias: expected finite values"):
        read_model(model_folder)


def test_a_folder_that_holds_one_model_stands_for_it(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "models/one")
    assert read_model(tmp_path / "models").digest == read_model(model_folder).digest


def test_the_embedded_model_loads_and_tells_its_figures() -> None:
    model = read_model(DEMO_MODEL)
    assert model.demonstration
    assert {head.record.name for head in model.heads.of("segmentation")} == {"organs", "left-ventricle", "hippocampus"}
    findings = {"soft-tissue-mass-ct": 10, "soft-tissue-mass-mr": 10, "brain-mass": 42}
    assert {head.record.name for head in model.heads.of("finding")} == findings.keys()
    measured = tomllib.loads((DEMO_MODEL / "model.toml").read_text())["measured"]
    for head in model.heads.all:
        told = {name: value for name, value in measured[head.record.name].items() if name != "shipped"}
        assert told == head.record.measured
    for name, people in findings.items():
        figures = measured[name]
        assert figures["slice_auc_95_low"] <= figures["slice_auc"] <= figures["slice_auc_95_high"]
        assert figures["dice_patients"] == people
    size = sum(path.stat().st_size for path in DEMO_MODEL.rglob("*"))
    assert size < 25e6


def edit(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))
    write_digests(next(parent for parent in path.parents if (parent / "model.toml").exists()))
