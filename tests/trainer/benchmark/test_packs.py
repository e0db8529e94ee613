from pathlib import Path

import pytest

from pack_cases import made_pack, write_index
from trainer.benchmark.dataset import BenchmarkDataError
from trainer.benchmark.packs import find_packs, read_pack, suggest_tasks


def test_packs_are_found_by_their_index(tmp_path: Path) -> None:
    made_pack(tmp_path / "one", patients=2)
    made_pack(tmp_path / "deep" / "two", patients=2)
    (tmp_path / "none").mkdir()
    assert [folder.name for folder in find_packs(tmp_path)] == ["one", "two"]
    assert [folder.name for folder in find_packs(tmp_path / "one")] == ["one"]


def test_columns_suggest_tasks(pack: Path) -> None:
    tasks = {task.name: task for task in suggest_tasks(read_pack(pack))}
    assert {name: (task.kind, task.target or task.mask) for name, task in tasks.items()} == {
        "made-mask": ("segmentation", "mask"),
        "made-label": ("classification", "label"),
        "made-age": ("regression", "age"),
    }
    assert {task.values for task in tasks.values()} == {"8-bit"}
    assert tasks["made-mask"].mask_values == (255.0,)


def test_families_and_survival_are_seen(tmp_path: Path) -> None:
    rows = made_pack(tmp_path / "ct_thing")
    extra: list[dict[str, object]] = [
        {
            **row,
            "grade": 1 + k % 9 / 2,
            "patient_family": "f",
            "survival_days": 30 + 11 * k,
            "event": k % 2,
            "pixel_spacing_mm": 0.5 + k / 9,
        }
        for k, row in enumerate(rows)
    ]
    write_index(tmp_path / "ct_thing", extra)
    tasks = {task.name: task for task in suggest_tasks(read_pack(tmp_path / "ct_thing"))}
    survival = tasks["ct-thing-survival"]
    assert (survival.target, survival.event, survival.patient) == ("survival_days", "event", "patient_family")
    assert not any("spacing" in name for name in tasks)
    assert tasks["ct-thing-grade"].kind == "regression"
    assert {task.modality for task in tasks.values()} == {"CT"}


def test_a_table_without_patients_or_images_is_refused(tmp_path: Path) -> None:
    rows = made_pack(tmp_path, patients=2)
    write_index(tmp_path, [{"image": row["image"], "label": row["label"]} for row in rows])
    with pytest.raises(BenchmarkDataError, match="expected a column patient_id, got image, label"):
        list(suggest_tasks(read_pack(tmp_path)))
    write_index(tmp_path, [{"patient_id": row["patient_id"], "label": row["label"]} for row in rows])
    with pytest.raises(BenchmarkDataError, match="expected a column that names images"):
        list(suggest_tasks(read_pack(tmp_path)))


def test_a_file_that_is_missing_is_told_by_its_row(pack: Path) -> None:
    (pack / "p00" / "1.png").unlink()
    with pytest.raises(BenchmarkDataError, match=r"made: row 3 of index.csv, image: .*found none"):
        read_pack(pack).read_image(1, "image")
