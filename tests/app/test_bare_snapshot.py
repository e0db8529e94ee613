"""A snapshot without heads, as a hospital gets it from the publisher, over the bundled chest CT."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from app.application import StudyRequest
from app.pipeline import Pipeline
from app.run import run_study
from app.settings import DEMO_MODEL, Settings
from encoder_cases import TINY, write_random_snapshot
from operators.encoder import features as features_module
from operators.study_run.journal import RunJournal

CHEST_CT = Path(__file__).parents[1] / "data" / "ct_chest_lidc0314"
SLICES = 32


def run(model: Path, output: Path, *, features: str | None = None, **settings: object) -> dict:
    return read(Pipeline.load(model, Settings(device="cpu", **settings)), output, features=features)


def read(pipeline: Pipeline, output: Path, *, features: str | None = None) -> dict:
    run_study(pipeline, StudyRequest(CHEST_CT, output, features=features), RunJournal())
    return json.loads((output / "result.json").read_text())


def without_times(result: dict) -> dict:
    """Stages keep their names and devices."""
    return result | {"stages": [{**stage, "seconds": 0} for stage in result["stages"]], "outputs": []}


def seconds(result: dict, name: str) -> float:
    return next(stage["seconds"] for stage in result["stages"] if stage["name"] == name)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_snapshot(TINY, tmp_path_factory.mktemp("models") / "curia-2")


def test_a_bare_snapshot_runs_and_writes_features(snapshot: Path, tmp_path: Path) -> None:
    result = run(snapshot, tmp_path, features="tokens")
    assert result["status"] == "completed"
    assert result["findings"] == []
    assert result["model"]["heads"] == []
    (warning,) = [warning for warning in result["warnings"] if warning["code"] == "no-heads"]
    assert "docs/heads.md" in warning["message"]
    assert result["settings"]["precision"] == "float32"
    assert result["settings"]["integer_cast"] == "published"
    (uid,) = [series["series_instance_uid"] for series in result["series"]]
    tensors = load_file(tmp_path / "features.safetensors")
    assert tensors[f"{uid}/tokens"].shape == (SLICES, 16, 24)
    assert tensors[f"{uid}/cls"].shape == (SLICES, 24)


def test_tokens_on_disk_change_nothing_and_leave_nothing(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(snapshot, tmp_path / "memory", features="tokens")
    monkeypatch.setattr(features_module, "FEATURES_IN_MEMORY", 1000)
    run(snapshot, tmp_path / "disk", features="tokens")
    in_memory, on_disk = (load_file(tmp_path / name / "features.safetensors") for name in ("memory", "disk"))
    assert in_memory.keys() == on_disk.keys()
    assert all(np.array_equal(in_memory[name], on_disk[name]) for name in in_memory)
    assert not [path for path in (tmp_path / "disk").iterdir() if path.name.startswith(".")]


def test_features_from_the_cache_give_the_same_result(tmp_path: Path) -> None:
    """The embedded model's heads read the tokens; only the times tell, and the encoder's shows that it did not run."""
    pipeline = Pipeline.load(DEMO_MODEL, Settings(device="cpu", feature_cache=tmp_path / "cache"))
    first, second = (read(pipeline, tmp_path / name) for name in ("first", "second"))
    assert without_times(first) == without_times(second)
    assert [entry["sop_instance_uid"] for entry in first["outputs"]] == [
        entry["sop_instance_uid"] for entry in second["outputs"]
    ]
    assert seconds(second, "encoder") < 0.1 * seconds(first, "encoder")
    assert seconds(second, "feature cache") > 0


def test_time_of_preparing_slices_counts_as_resampling(snapshot: Path, tmp_path: Path) -> None:
    result = run(snapshot, tmp_path)
    assert seconds(result, "resampling") > 0.01
    names = [stage["name"] for stage in result["stages"]]
    assert names.index("resampling") + 1 == names.index("encoder")


def test_half_precision_is_another_deployment(snapshot: Path) -> None:
    whole, half = (Pipeline.load(snapshot, Settings(device="cpu", precision=p)) for p in (None, "bfloat16"))
    assert half.deployment.settings["precision"] == "bfloat16"
    assert whole.deployment.digest != half.deployment.digest


@pytest.mark.parametrize("device", ["cuda:0,cpu", "gpu", "cuda:all,cuda:1", "cuda:0,", "cpu,cpu"])
def test_devices_that_make_no_sense_are_refused(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        Settings(device=device)
