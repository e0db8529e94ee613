"""Packs that no task is declared for: a folder with an index.csv is all that it takes."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pack_cases import made_pack, square, write_index, write_picture
from phantoms import SeriesSpec, build_datasets
from trainer.benchmark import models
from trainer.benchmark.command import InProcess, bench
from trainer.benchmark.packs import read_pack, tasks_of

Rows = list[dict[str, object]]


def cross_sections(folder: Path) -> Rows:
    """CT in DICOM, one slice a file; the folder's name does not say CT."""
    rows: Rows = []
    for patient in range(6):
        spec = SeriesSpec(modality="CT", shape=(1, 32, 32))
        (dataset,) = build_datasets(spec, lambda positions, p=patient: np.full(positions.shape[:-1], 10.0 * p - 300))
        (folder / "images").mkdir(parents=True, exist_ok=True)
        dataset.save_as(folder / f"images/{patient}.DCM", enforce_file_format=True)
        rows.append({"image": f"images/{patient}.DCM", "patient": f"p{patient}", "age": f"{40 + 5 * patient:04d}"})
    return rows


def volumes(folder: Path) -> Rows:
    """MR in NIfTI with the numbers 1 and 2 in `label`, the one bright, the other dark."""
    rng, rows = np.random.default_rng(0), []
    for patient in range(6):
        labels = np.zeros((24, 20, 4), np.uint8)
        labels[4:14, 4:14], labels[14:20, 4:14] = 1, 2
        for name, voxels in (
            ("image", rng.normal(300, 5, labels.shape) + np.array([0, 200, -200])[labels]),
            ("label", labels),
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
            kind = np.uint8 if name == "label" else np.int16
            nibabel.save(nibabel.Nifti1Image(voxels.astype(kind), np.eye(4)), folder / f"{name}/{patient}.nii.gz")
        rows.append({name: f"{name}/{patient}.nii.gz" for name in ("image", "label")} | {"patient_id": f"p{patient}"})
    return rows


def votes(folder: Path) -> Rows:
    """Crops with votes of four readers, 60 each, and their score in halves; ids of which several are one family."""
    rng, rows = np.random.default_rng(1), []
    for number in range(12):
        mask = square(4 * (number % 5), 8)
        write_picture(folder / f"{number}.png", rng.normal(60, 4, mask.shape) + 120 * mask)
        write_picture(folder / f"{number}_votes.png", 60 * mask + 60 * square(4 * (number % 5), 8, side=10))
        row = {
            "image": f"{number}.png",
            "mask_votes": f"{number}_votes.png",
            "patient_id": f"{number // 2}ab"[: number % 3],
        }
        rows.append({**row, "patient_family": f"f{number // 2}", "score": 1 + number % 9 / 2})
    return rows


def pairs(folder: Path) -> Rows:
    """Two dates with an outline each."""
    rng, rows = np.random.default_rng(2), []
    for pair in range(5):
        row: dict[str, object] = {"pair": f"{pair:02d}"}
        for date in ("pre", "post"):
            mask = square(4 * pair, 8).astype(float)[..., None].repeat(3, axis=2)
            for name, voxels in ((date, rng.normal(90, 4, mask.shape) + 80 * mask), (f"{date}_mask", mask)):
                row[name] = f"{pair:02d}_{name}.nii"
                folder.mkdir(parents=True, exist_ok=True)
                nibabel.save(nibabel.Nifti1Image(voxels.astype(np.float32), np.eye(4)), folder / str(row[name]))
        rows.append(row)
    return rows


def pictures(folder: Path) -> Rows:
    """JPEG with a mask and a class, and remarks that no task reads."""
    rows = made_pack(folder)
    for row in rows:
        name = str(row["image"])
        with Image.open(folder / name) as picture:
            picture.convert("RGB").save(folder / name.replace(".png", ".jpg"), quality=95)
    return [
        {**row, "image": str(row["image"]).replace(".png", ".jpg"), "remark": f"r{k}"} for k, row in enumerate(rows)
    ]


PACKS: dict[str, tuple[Callable[[Path], Rows], str, dict[str, tuple[str, float]]]] = {
    # patients' column, and by task the metric with the least or, for an error, the most that is expected
    "body": (cross_sections, "patient", {"body-age": ("mae", 15)}),
    "mr_parts": (volumes, "patient_id", {"mr-parts-label": ("dice", 0.6)}),
    "spots": (votes, "patient_family", {"spots-mask-votes": ("dice", 0.7), "spots-score": ("mae", 3)}),
    "mr_dates": (pairs, "pair", {"mr-dates-pre-mask": ("dice", 0.7), "mr-dates-post-mask": ("dice", 0.7)}),
    "photos": (
        pictures,
        "patient_id",
        {"photos-mask": ("dice", 0.7), "photos-label": ("balanced-accuracy", 0.9), "photos-age": ("mae", 12)},
    ),
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patches of 4 pixels in images of 32."""
    monkeypatch.setattr(models, "SMALL", models.SMALL.model_copy(update={"image_size": 32, "patch_size": 4}))
    models.open_spec.cache_clear()


def measured(data: Path, out: Path) -> tuple[dict[tuple[str, str], dict[str, float]], str, tuple[str, ...]]:
    """By task and metric the first row, what was said, and what was refused."""
    said = io.StringIO()
    outcome = bench(["packs"], ["pixels"], data, out, pool=InProcess(), console=Console(file=said, width=10_000))
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in json.loads((out / "results.json").read_text()):
        found.setdefault((row["task"], row["metric"]), row)
    return found, said.getvalue(), outcome.refused


@pytest.mark.parametrize("split", [False, True], ids=["by folds", "by its split"])
def test_every_kind_of_pack_is_measured_by_its_index_alone(tmp_path: Path, split: bool) -> None:
    for name, (make, patient, _) in PACKS.items():
        rows = make(tmp_path / "data" / name)
        if split:
            names = sorted({str(row[patient]) for row in rows})
            tested = set(names[-2:])
            rows = [{**row, "split": "test" if row[patient] in tested else "train"} for row in rows]
        write_index(tmp_path / "data" / name, rows)
    found, said, refused = measured(tmp_path / "data", tmp_path / "out")
    assert not refused
    assert "photos: no task reads the columns remark" in said
    for name, (_, patient, expected) in PACKS.items():
        tasks = tasks_of(read_pack(tmp_path / "data" / name), ())
        assert {task.name for task in tasks} == set(expected)
        assert {task.patient for task in tasks} == {patient}
        for task, (metric, bound) in expected.items():
            row = found[task, metric]
            assert (row["value"] <= bound) if metric == "mae" else (row["value"] >= bound), (task, row)
            if split:
                assert row["n_patients"] == 2, task


def test_what_values_mean_goes_by_the_files(tmp_path: Path) -> None:
    for name, (make, _, _) in PACKS.items():
        write_index(tmp_path / name, make(tmp_path / name))
    told = {name: {task.values for task in tasks_of(read_pack(tmp_path / name), ())} for name in PACKS}
    assert told == {
        "body": {"hu"}, "mr_parts": {"scanner"}, "spots": {"8-bit"}, "mr_dates": {"scanner"}, "photos": {"8-bit"},
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "broken"), [("mr_parts", "image/2.nii.gz"), ("body", "images/2.DCM")])
def test_a_broken_file_is_named(tmp_path: Path, kind: str, broken: str) -> None:
    make, _, _ = PACKS[kind]
    write_index(tmp_path / "data" / kind, make(tmp_path / "data" / kind))
    write_index(tmp_path / "data" / "spots", votes(tmp_path / "data" / "spots"))
    whole = (tmp_path / "data" / kind / broken).read_bytes()
    (tmp_path / "data" / kind / broken).write_bytes(whole[: len(whole) // 2])
    found, _, (reason,) = measured(tmp_path / "data", tmp_path / "out")
    assert f"{kind}: row 4 of index.csv, image: " in reason
    assert broken in reason
    assert {task.partition("-")[0] for task, _ in found} == {"spots"}


def test_a_declared_task_takes_the_patients_column_that_is_there(tmp_path: Path) -> None:
    from trainer.benchmark.task import read_tasks

    folder = tmp_path / "more_of_mr_brain_tumour_cheng"
    write_index(folder, [{**row, "label": "glioma"} for row in made_pack(folder, patients=2)])
    tasks = tasks_of(read_pack(folder), read_tasks())
    assert "brain-tumour-outline" in {task.name for task in tasks}
    assert {task.patient for task in tasks} == {"patient_id"}


def test_of_a_limited_run_the_patients_are_the_same_whatever_the_order(tmp_path: Path) -> None:
    from trainer.benchmark.question import pose

    rows = made_pack(tmp_path / "a", patients=10)
    made_pack(tmp_path / "b", patients=10)
    write_index(tmp_path / "b", rows[::-1])
    drawn = []
    for name in ("a", "b"):
        pack = read_pack(tmp_path / name)
        task = next(task for task in tasks_of(pack, ()) if task.kind == "segmentation")
        drawn.append(set(pose(task, pack, 4).patients.tolist()))
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 4


def test_another_limit_is_measured_anew_in_the_same_folder(tmp_path: Path) -> None:
    from trainer.benchmark.evaluation import evaluation_file
    from trainer.benchmark.question import pose

    made_pack(tmp_path, patients=10)
    pack = read_pack(tmp_path)
    task = next(task for task in tasks_of(pack, ()) if task.kind == "segmentation")
    files = [evaluation_file(tmp_path, pose(task, pack, limit), "model", "dense") for limit in (4, 6, 4)]
    assert files[0] == files[2] != files[1]
