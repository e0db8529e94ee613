"""A model folder with heads of several kinds, over the bundled chest CT: from what they need to what is written."""

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from app.application import StudyRequest
from app.pipeline import Pipeline
from app.run import run_study
from app.settings import Settings
from encoder_cases import TINY, write_random_snapshot
from head_cases import WIDTH, write_kind, write_published
from operators.encoder.snapshot import read_snapshot
from operators.study_run.journal import RunJournal
from trainer.export.model_folder import write_digests, write_model_file

CHEST_CT = Path(__file__).parents[1] / "data" / "ct_chest_lidc0314"
ALWAYS = {"threshold": 0.0, "operating_point": "always, for this test"}
RNG = np.random.default_rng(2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    snapshot = read_snapshot(write_random_snapshot(TINY, folder / "encoder"))
    write_published(folder / "heads/volume", snapshot, attention_cfg={}, num_slices=3, use_n_blocks=2, width=2 * WIDTH)
    (folder / "heads/volume/head.toml").write_text("reads_mask = false")
    write_published(folder / "heads/kits", snapshot, classes=2)
    common = {"encoder_sha256": snapshot.sha256, "modality": ["CT"]}
    decoder = {
        "narrow.weight": RNG.normal(size=(2, WIDTH)),
        "narrow.bias": np.zeros(2),
        "level1.weight": RNG.normal(size=(2, 3, 3, 3)),
        "level1.bias": np.zeros(2),
        "classes.weight": RNG.normal(size=(1, 2)),
        "classes.bias": np.ones(1),
    }
    record = common | {"task": "segmentation", "kind": "decoder", "levels": 1, "name": "decoder"}
    write_kind(folder / "heads/decoder", record, ("lung",), decoder, category=True)
    record = common | {"task": "classification", "kind": "multi-label", "inputs": ["mean-token"], "name": "chest"}
    linear = {"weight": RNG.normal(size=(2, WIDTH)), "bias": np.zeros(2)}
    write_kind(folder / "heads/chest", record | {"outputs": {"effusion": ALWAYS}}, ("effusion", "nodule"), linear)
    record = common | {"task": "regression", "kind": "linear", "inputs": ["cls"], "name": "age"}
    write_kind(folder / "heads/age", record, (), {"weight": RNG.normal(size=(1, WIDTH)), "bias": np.ones(1)})
    record = common | {
        "task": "regression",
        "kind": "linear",
        "inputs": ["cls"],
        "name": "contrast age",
        "contrast": ["with"],
    }
    write_kind(folder / "heads/other", record, (), {"weight": RNG.normal(size=(1, WIDTH)), "bias": np.ones(1)})
    words = {"name": "heads", "version": "1", "demonstration": True, "licence": "none", "intended_use": "tests"}
    write_model_file(words, folder)
    write_digests(folder)
    return folder


def test_every_kind_of_head_stands_in_the_results(model: Path, tmp_path: Path) -> None:
    pipeline = Pipeline.load(model, Settings(device="cpu", feature_cache=tmp_path / "cache"))
    run_study(pipeline, StudyRequest(CHEST_CT, tmp_path / "out"), RunJournal())
    result = json.loads((tmp_path / "out/result.json").read_text())
    findings = {finding["name"]: finding for finding in result["findings"]}
    assert list(findings) == [
        "chest: effusion",
        "chest: nodule",
        "kits: class 0",
        "kits: class 1",
        "contrast age",
        "volume: class 0",
        "volume: class 1",
        "volume: class 2",
    ]
    assert sum(findings[f"volume: class {number}"]["probability"] for number in range(3)) == pytest.approx(1)
    assert findings["volume: class 0"]["reason"] == "no operating point"
    assert (findings["kits: class 0"]["probability"], findings["kits: class 0"]["reason"]) == (None, "needs a region")
    assert "contrast" in findings["contrast age"]["reason"]
    assert findings["chest: effusion"]["present"]
    assert findings["chest: effusion"]["localisation"] is not None
    values = [value["name"] for value in result["measurements"] if value["segment_number"] is None]
    assert values == ["age"]
    told = [warning["message"] for warning in result["warnings"] if warning["code"] == "head-out-of-scope"]
    assert [message.split(":")[0] for message in told] == ["kits", "kits", "contrast age"]
    files = {entry["kind"]: tmp_path / "out" / entry["path"] for entry in result["outputs"]}
    labels = {item.SegmentLabel for item in hd.seg.segread(files["SEG"]).SegmentSequence}
    assert {"lung", "effusion"} <= labels
    groups = hd.sr.srread(files["SR"]).content.get_planar_roi_measurement_groups()
    named = {group.tracking_identifier for group in groups}
    named |= {group.tracking_identifier for group in hd.sr.srread(files["SR"]).content.get_image_measurement_groups()}
    assert {"volume: class 0", "age", "chest: effusion", "chest: nodule"} <= named
