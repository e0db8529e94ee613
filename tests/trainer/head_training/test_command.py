"""A head is trained of a table, and answers in the application as its card says."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file

from head_training_cases import Cohort
from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.encoder.tensor_file import read_tensors
from operators.heads.head import HeadAnswer, HeadFolder, SeriesFeatures, ask
from operators.heads.kinds import read_head
from operators.model.digests import check_digests, folder_digest
from operators.model.model_folder import Model, read_model
from trainer.head_training.command import train_head

Train = Callable[..., Path]

FINDINGS = ("nodule", "effusion")
CODE = {"value": "1", "scheme": "99X", "meaning": "a"}


def answer_about(folder: Path, model: Model, study: Path) -> HeadAnswer:
    """What the application's reader makes of the head, asked about a study's features."""
    head = read_head(HeadFolder(folder, model.snapshot, folder_digest(folder)))
    tensors = read_tensors(study)
    (uid,) = {name.partition("/")[0] for name in tensors}
    tokens = tensors[f"{uid}/tokens"]
    side = round(tokens.shape[1] ** 0.5)
    features = FeatureVolume(tensors[f"{uid}/cls"][:], tokens, Geometry(np.eye(4), (tokens.shape[0], side, side)))
    (answer,) = ask([head], SeriesFeatures(features, features.geometry, "CT", uid))
    return answer


def answers(folder: Path, model: Model, cohort: Cohort) -> list[HeadAnswer]:
    return [answer_about(folder, model, cohort.folder / row["study"]) for row in cohort.rows]


def test_many_findings_are_found_each_for_itself(train: Train, cohort: Cohort, model: Model) -> None:
    folder = train({"task": "classification", "kind": "multi-label"}, FINDINGS)
    check_digests(folder)
    for row, answer in zip(cohort.rows, answers(folder, model, cohort), strict=True):
        assert [finding.present for finding in answer.findings] == [bool(row[name]) for name in FINDINGS]
    record = tomllib.loads((folder / "head.toml").read_text())
    # Forty-six of 48 features are noise, and sixteen studies are fitted on.
    assert record["measured"]["mean_auc"] > 0.75
    assert record["outputs"]["nodule"]["operating_point"] == "Youden's index, 3 folds of 12 patients"
    assert record["outputs"]["nodule"]["calibration"]["method"] == "platt"
    card = (folder / "card.md").read_text()
    assert "nodule: 12 with, 12 without" in card
    assert "Research use only" in card
    assert (folder / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_what_held_out_patients_were_told_is_what_the_card_counts(train: Train, cohort: Cohort) -> None:
    """Labels that nothing tells: no figure far from chance, whatever the fit says of those that it saw."""
    rng = np.random.default_rng(0)
    for row in cohort.rows:
        row["coin"] = int(rng.random() < 0.5)
    folder = train({"task": "classification", "kind": "multi-label"}, ["coin"])
    measured = tomllib.loads((folder / "head.toml").read_text())["measured"]
    assert measured["mean_auc_95_low"] < 0.6
    assert measured["mean_auc"] < 0.85


def test_exclusive_classes_share_one_probability(train: Train, cohort: Cohort, model: Model) -> None:
    folder = train({"task": "classification", "kind": "linear"}, ["grade"], calibration="temperature")
    for row, answer in zip(cohort.rows, answers(folder, model, cohort), strict=True):
        told = {finding.name.removeprefix("head: "): finding.probability for finding in answer.findings}
        assert sum(told.values()) == pytest.approx(1.0)  # type: ignore[arg-type]
        assert max(told, key=lambda name: told[name] or 0.0) == row["grade"]
    assert tomllib.loads((folder / "head.toml").read_text())["temperature"] != 1.0


def test_grades_keep_their_order(train: Train, cohort: Cohort, model: Model) -> None:
    head = {"task": "classification", "kind": "ordinal"}
    folder = train(head, ["grade"], classes=["mild", "moderate", "severe"], calibration="isotonic")
    of_all = answers(folder, model, cohort)
    found = [max(answer.findings, key=lambda finding: finding.probability or 0).name for answer in of_all]
    right = [name == f"head: {row['grade']}" for name, row in zip(found, cohort.rows, strict=True)]
    assert np.mean(right) > 0.9


def test_prototypes_are_the_examples_themselves(train: Train, cohort: Cohort) -> None:
    folder = train({"task": "classification", "kind": "prototypes"}, ["grade"], calibration="none")
    assert load_file(folder / "model.safetensors")["examples"].shape == (24, 48)


def test_a_number_comes_with_its_unit(train: Train, cohort: Cohort, model: Model) -> None:
    unit = {"value": "a", "scheme": "UCUM", "meaning": "year"}
    head = {"task": "regression", "kind": "linear", "quantity": "age", "unit": unit}
    folder = train(head, ["age"], fit={"penalties": [0.001]})
    for row, answer in zip(cohort.rows, answers(folder, model, cohort), strict=True):
        assert answer.measurements[0].value == pytest.approx(row["age"], abs=5.0)
    measured = tomllib.loads((folder / "head.toml").read_text())["measured"]
    assert measured["mae"] < 10


def test_survival_orders_patients_and_tells_a_curve(train: Train, cohort: Cohort, model: Model) -> None:
    head = {"task": "survival", "kind": "cox", "event": "death", "horizons_days": [70, 100]}
    folder = train(head, ["days", "event"])
    of_all = answers(folder, model, cohort)
    ratios = np.array([answer.measurements[0].value for answer in of_all])
    nodule = np.array([row["nodule"] for row in cohort.rows], bool)
    assert ratios[nodule].min() > ratios[~nodule].max()
    early, late = (np.array([answer.measurements[k].value for answer in of_all]) for k in (1, 2))
    assert (early >= late).all()
    assert tomllib.loads((folder / "head.toml").read_text())["measured"]["c_index"] > 0.7


def test_figures_of_a_test_part_are_of_its_patients_alone(train: Train, cohort: Cohort) -> None:
    for number, row in enumerate(cohort.rows):
        row["split"] = "test" if number >= 16 else "train"
    folder = train({"task": "classification", "kind": "multi-label"}, FINDINGS)
    measured = tomllib.loads((folder / "head.toml").read_text())["measured"]
    assert measured["mean_auc_patients"] == 4
    assert "test part: 8 studies of 4 patients" in (folder / "card.md").read_text()
    assert "3 folds of 8 patients" in (folder / "card.md").read_text()


def test_a_series_unlike_the_training_set_is_not_judged(train: Train, cohort: Cohort, model: Model) -> None:
    folder = train({"task": "classification", "kind": "multi-label"}, FINDINGS, distance={"rank": 4, "percentile": 100})
    assert {finding.present for answer in answers(folder, model, cohort) for finding in answer.findings} == {
        True,
        False,
    }
    head = read_head(HeadFolder(folder, model.snapshot, folder_digest(folder)))
    strange = FeatureVolume(np.full((3, 24), 50.0), np.full((3, 16, 24), -50.0), Geometry(np.eye(4), (3, 4, 4)))
    (answer,) = ask([head], SeriesFeatures(strange, strange.geometry, "CT", "1.2"))
    assert {finding.present for finding in answer.findings} == {None}
    assert "unlike its training set" in str(answer.findings[0].not_evaluated)


def test_a_head_trained_into_a_models_folder_can_be_used_at_once(
    train: Train, cohort: Cohort, model_folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(model_folder, own)
    train({"task": "classification", "kind": "multi-label"}, FINDINGS)
    config, table = cohort.folder / "head.toml", cohort.folder / "table.csv"
    train_head(config, table, own / "heads/chest", None, device="cpu", console=Console(quiet=True))
    assert [head.record.name for head in read_model(own).heads.all] == ["head"]
    assert sorted(path.name for path in own.iterdir()) == ["SHA256SUMS", "card.md", "encoder", "heads", "model.toml"]
    assert "## Head: chest\n" in (own / "card.md").read_text()


def test_a_run_that_was_killed_goes_on_and_comes_to_the_same_numbers(
    train: Train, cohort: Cohort, tmp_path: Path
) -> None:
    head = {"task": "classification", "kind": "multi-label"}
    whole = train(head, FINDINGS)
    command = [sys.executable, "-W", "ignore", "-m", "trainer", "head", "--config", str(cohort.folder / "head.toml")]
    command += [
        "--data",
        str(cohort.folder / "table.csv"),
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(tmp_path / "o"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        # It is killed as soon as the first fit lies there; the features do by then.
        while process.poll() is None and not list((tmp_path / "work").glob("fits/*/fold-0.safetensors")):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "o").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.safetensors")}
    assert len(kept) >= len(cohort.rows) + 1
    subprocess.run(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (tmp_path / "o/SHA256SUMS").read_text() == (whole / "SHA256SUMS").read_text()


def test_another_label_map_is_another_fit(train: Train, cohort: Cohort) -> None:
    """What an earlier run of other settings left is not taken for this one's."""
    head = {"task": "classification", "kind": "multi-label"}
    first = load_file(train(head, ["nodule"], name="one") / "model.safetensors")
    second = load_file(train(head, ["effusion"], name="two") / "model.safetensors")
    assert not np.allclose(first["weight"], second["weight"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": {"task": "classification", "kind": "guess"}}, "task and kind: expected one of classification/linear"),
        ({"head": {"task": "classification", "kind": "multi-label", "threshold": 1}}, "threshold: Extra inputs"),
        ({"optimiser": "adam"}, "optimiser: Extra inputs"),
        (
            {"label": [{"name": "a", "code": CODE}]},
            "label: expected one for",
        ),
        ({"targets": []}, "targets: expected a column for each finding"),
    ],
)
def test_settings_that_are_wrong_are_named(train: Train, settings: dict[str, Any], message: str) -> None:
    head = settings.pop("head", {"task": "classification", "kind": "multi-label"})
    targets = settings.pop("targets", FINDINGS)
    with pytest.raises(ValueError, match=message):
        train(head, targets, **settings)


def test_a_bag_finds_the_one_token_and_shows_it(train: Train, cohort: Cohort, model: Model) -> None:
    head = {
        "task": "classification",
        "kind": "instance-attention",
        "instances": ["cls", "tokens"],
        "minimum_volume_ml": 0,
    }
    fit = {"penalties": [0.001], "epochs": 40, "hidden": 8}
    folder = train(head, ["nodule"], fit=fit, faithfulness={"studies": 3, "tries": 8})
    of_all = answers(folder, model, cohort)
    assert [answer.findings[0].present for answer in of_all] == [bool(row["nodule"]) for row in cohort.rows]
    (mask,) = of_all[1].masks
    assert np.unravel_index(np.argmax(mask.contributions.array), (3, 4, 4)) == (1, 1, 1)  # type: ignore[attr-defined]
    assert tomllib.loads((folder / "head.toml").read_text())["measured"]["mean_auc"] == 1.0
    assert "| head: nodule | 3 |" in (folder / "card.md").read_text()
    assert "| 100% |" in (folder / "card.md").read_text()


def test_faithfulness_is_measured_whatever_the_scope_says_of_what_is_left(train: Train, cohort: Cohort) -> None:
    folder = train(
        {"task": "classification", "kind": "multi-label"},
        ["nodule"],
        distance={"rank": 1, "percentile": 1},
        faithfulness={"studies": 2, "tries": 4},
    )
    assert "| head: nodule | 2 |" in (folder / "card.md").read_text()
