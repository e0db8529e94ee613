"""A bundle is loaded and run by MONAI itself, and answers as the application does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from encoder_cases import TINY, write_random_snapshot
from head_cases import write_kind
from operators.domain.volume import Volume
from operators.encoder.features import Encoder
from operators.encoder.snapshot import read_snapshot
from operators.heads.head import SeriesFeatures
from operators.heads.readout import predict_findings
from operators.imaging.encoder_input import make_encoder_input
from operators.model.model_folder import read_model
from trainer.bundle.writing import write_bundle
from trainer.export.model_folder import write_digests, write_model_file
from trainer.ingest.nifti import read_nifti

ROOT = Path(__file__).parents[3]
MONAI = ROOT / "build/rivals"

RUN = """
import json, sys
import monai.bundle, torch
from monai.bundle import ConfigParser, create_workflow
bundle, data = sys.argv[1:]
overriding = {"bundle_root": bundle, "dataset_dir": data}
config, meta = f"{bundle}/configs/inference.json", f"{bundle}/configs/metadata.json"
monai.bundle.run(config_file=config, meta_file=meta, **overriding)
parser = ConfigParser()
parser.read_config(config)
parser.read_meta(meta)
parser.update(overriding)
network = parser.get_parsed_content("network")
count = sum(parameter.numel() for parameter in network.parameters())
json.dump({"parameters": count, "is_module": isinstance(network, torch.nn.Module)}, sys.stdout)
"""


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "model", np.random.default_rng(0)
    write_random_snapshot(TINY, folder / "encoder")
    sha256 = read_snapshot(folder / "encoder").sha256
    names = ("nodule", "effusion")
    tensors = {"weight": rng.normal(size=(2, 48)), "bias": rng.normal(size=2)}
    record = {"task": "classification", "kind": "multi-label", "inputs": ["cls", "mean-token"], "name": "chest"}
    write_kind(folder / "heads/other-folder-name", record | {"encoder_sha256": sha256}, names, tensors)
    tensors = {"weight": rng.normal(size=(2, 24)), "bias": np.zeros(2)}
    record = {"task": "segmentation", "kind": "linear", "inputs": ["tokens"], "subdivision": 1, "name": "organs"}
    record |= {"minimum_volume_ml": 0.0, "encoder_sha256": sha256}
    write_kind(folder / "heads/organs", record, ("a", "b"), tensors, category=True)
    about = {"name": "tiny", "version": "1", "demonstration": True, "licence": "none", "intended_use": "tests"}
    write_model_file(about, folder)
    write_digests(folder)
    return folder


def written_images(folder: Path) -> dict[str, Path]:
    """Two series on grids of their own, one of them turned."""
    folder.mkdir()
    rng, paths = np.random.default_rng(3), {}
    for name, affine in (("a", np.diag([2.0, 2.5, 4.0, 1.0])), ("b", np.diag([-1.5, -1.5, 3.0, 1.0]))):
        voxels = rng.normal(0, 300, (40, 48, 5)).astype(np.float32)
        paths[f"{name}.nii.gz"] = folder / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, affine), paths[f"{name}.nii.gz"])
    return paths


def readout_of(model_folder: Path, volume: Volume):  # type: ignore[no-untyped-def]
    """As the application's steps do it."""
    model = read_model(model_folder)
    encoder_input = make_encoder_input(volume, model.snapshot.input_settings)
    features = Encoder(model.snapshot).encode(encoder_input)
    return predict_findings(SeriesFeatures(features, volume.geometry, "CT", "1.2"), model.heads)


def run_by_monai(bundle: Path, data: Path) -> dict[str, object]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{MONAI}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(bundle), str(data)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.skipif(not (MONAI / "monai/bundle").is_dir(), reason="MONAI is not there; make build/rivals/monai")
def test_monai_loads_and_runs_a_bundle_to_the_applications_answers(model_folder: Path, tmp_path: Path) -> None:
    bundle, paths = write_bundle(model_folder, "chest", tmp_path / "bundles"), written_images(tmp_path / "data")
    # What the bundle was made of is not needed any more.
    kept = tmp_path / "kept"
    model_folder.rename(kept)
    told = run_by_monai(bundle, tmp_path / "data")
    assert told["is_module"]
    assert told["parameters"] > 1000  # type: ignore[operator]
    answers = json.loads((tmp_path / "data/answers.json").read_text())
    assert answers.keys() == paths.keys()
    for name, path in paths.items():
        expected = [finding.probability for finding in readout_of(kept, read_nifti(path)).findings]
        np.testing.assert_allclose(answers[name], expected, atol=1e-5)


@pytest.mark.skipif(not (MONAI / "monai/bundle").is_dir(), reason="MONAI is not there; make build/rivals/monai")
def test_a_head_that_draws_leaves_a_label_map_beside_each_series(model_folder: Path, tmp_path: Path) -> None:
    bundle, paths = write_bundle(model_folder, "organs", tmp_path / "bundles"), written_images(tmp_path / "data")
    run_by_monai(bundle, tmp_path / "data")
    for path in paths.values():
        written = nibabel.load(path.with_name(path.name.replace(".nii.gz", "_trans.nii.gz")))
        readout, image = readout_of(model_folder, read_nifti(path)), nibabel.load(path)
        (masks,) = readout.masks
        expected = np.zeros(image.shape, np.uint8)
        for number, region in enumerate(masks.regions(read_nifti(path).geometry, with_probabilities=False), start=1):
            expected[region.mask.transpose(2, 1, 0)] = number
        assert expected.any()
        np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
        np.testing.assert_allclose(written.affine, image.affine)


def test_the_metadata_has_what_monais_schema_asks_for(model_folder: Path, tmp_path: Path) -> None:
    """The required keys of MONAI's meta_schema of bundles, as its specification lists them."""
    bundle = write_bundle(model_folder, "chest", tmp_path)
    required = [
        "version",
        "changelog",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "required_packages_version",
    ]
    required += ["task", "description", "authors", "copyright", "network_data_format"]
    data_format = {"type": "object", "required": ["inputs", "outputs"]}
    schema = {"type": "object", "required": required, "properties": {"network_data_format": data_format}}
    Draft202012Validator(schema).validate(json.loads((bundle / "configs/metadata.json").read_text()))
    assert sorted(path.name for path in bundle.iterdir()) == ["LICENSE", "configs", "docs", "models"]
    assert "Research use only" in (bundle / "docs/README.md").read_text()
    assert [head.record.name for head in read_model(bundle / "models").heads.all] == ["chest"]


def test_a_head_that_is_not_there_is_named(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--head: expected one of organs, chest, got 'lung'"):
        write_bundle(model_folder, "lung", tmp_path)
    shutil.rmtree(model_folder / "heads")
    write_digests(model_folder)
    with pytest.raises(ValueError, match="--head: expected one of none, got 'lung'"):
        write_bundle(model_folder, "lung", tmp_path)
