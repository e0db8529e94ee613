"""Everything that can be wrong in a table is told before anything is computed, with the row."""

import csv
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from trainer.head_training.errors import HeadTrainingError
from trainer.head_training.settings import Columns
from trainer.head_training.table import Table, read_table
from trainer.head_training.targets import class_targets, label_targets, number_targets, survival_targets

ROWS = [
    {"study": "a", "patient_id": "1", "split": "train", "nodule": "1", "grade": "mild", "days": "10", "event": "1"},
    {"study": "a", "patient_id": "2", "split": "val", "nodule": "0", "grade": "severe", "days": "7.5", "event": "0"},
    {"study": "a", "patient_id": "3", "split": "test", "nodule": "", "grade": "mild", "days": "3", "event": "no"},
]


def written(folder: Path, rows: list[dict[str, str]]) -> Path:
    (folder / "a").mkdir(exist_ok=True)
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def table(folder: Path, **changed: str) -> Table:
    """The last row with other cells."""
    rows = [dict(row) for row in ROWS]
    rows[-1] |= changed
    return read_table(written(folder, rows), Columns(), needs_mask=False)


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    from_csv = table(tmp_path)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "table.parquet")
    from_parquet = read_table(tmp_path / "table.parquet", Columns(), needs_mask=False)
    assert [row.cells for row in from_parquet.rows] == [row.cells for row in from_csv.rows]
    assert [row.part for row in from_csv.rows] == ["train", "train", "test"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"study": "b"}, r"table\.csv: row 4: study: b is not there"),
        ({"patient_id": ""}, "row 4: patient_id: expected who it is"),
        (
            {"patient_id": "1"},
            r"row 4: patient_id: the patient .* in two parts of the split \(train and test",
        ),
        ({"split": "tset"}, "row 4: split: expected one of train"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, changed: dict[str, str], message: str) -> None:
    with pytest.raises(HeadTrainingError, match=message):
        table(tmp_path, **changed)


def test_a_patient_is_not_named_in_a_message(tmp_path: Path) -> None:
    rows = [ROWS[0] | {"patient_id": "Canary"}, ROWS[2] | {"patient_id": "Canary"}]
    with pytest.raises(HeadTrainingError) as raised:
        read_table(written(tmp_path, rows), Columns(), needs_mask=False)
    assert "Canary" not in str(raised.value)


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadTrainingError, match="expected the column lesion, the table has study, patient_id"):
        read_table(written(tmp_path, ROWS), Columns(targets=("lesion",)), needs_mask=False)
    with pytest.raises(HeadTrainingError, match="expected the column mask"):
        read_table(written(tmp_path, ROWS), Columns(), needs_mask=True)


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("study,patient_id\n")
    with pytest.raises(HeadTrainingError, match="found no row"):
        read_table(tmp_path / "empty.csv", Columns(), needs_mask=False)
    (tmp_path / "short.csv").write_text("study,patient_id\na\n")
    with pytest.raises(HeadTrainingError, match="row 2: expected as many cells"):
        read_table(tmp_path / "short.csv", Columns(), needs_mask=False)
    (tmp_path / "table.parquet").write_text("no parquet")
    with pytest.raises(HeadTrainingError, match=r"cannot be read as \.parquet"):
        read_table(tmp_path / "table.parquet", Columns(), needs_mask=False)


def test_labels_are_present_absent_or_untold(tmp_path: Path) -> None:
    np.testing.assert_array_equal(label_targets(table(tmp_path), ["nodule"]), [[1.0], [0.0], [np.nan]])
    with pytest.raises(HeadTrainingError, match="row 4: nodule: expected 1, 0 or nothing, got 'maybe'"):
        label_targets(table(tmp_path, nodule="maybe"), ["nodule"])
    with pytest.raises(HeadTrainingError, match="nodule: expected rows with 1 and rows with 0"):
        label_targets(read_table(written(tmp_path, ROWS[:1]), Columns(), needs_mask=False), ["nodule"])


def test_a_class_that_no_label_names_is_refused(tmp_path: Path) -> None:
    classes = ("mild", "severe")
    np.testing.assert_array_equal(class_targets(table(tmp_path), "grade", classes), [[0.0], [1.0], [0.0]])
    with pytest.raises(HeadTrainingError, match=r"row 4: grade: 'Mild' is none of the labels \(mild, severe\)"):
        class_targets(table(tmp_path, grade="Mild"), "grade", classes)
    with pytest.raises(HeadTrainingError, match="expected rows of each label, none shows 'moderate'"):
        class_targets(table(tmp_path), "grade", ("mild", "moderate", "severe"))


def test_numbers_and_times_are_checked(tmp_path: Path) -> None:
    np.testing.assert_array_equal(number_targets(table(tmp_path), "days"), [[10.0], [7.5], [3.0]])
    np.testing.assert_array_equal(survival_targets(table(tmp_path), "days", "event")[:, 1], [1.0, 0.0, 0.0])
    for days in ("nan", "soon", "inf"):
        with pytest.raises(HeadTrainingError, match="row 4: days: expected a number"):
            number_targets(table(tmp_path, days=days), "days")
    with pytest.raises(HeadTrainingError, match="row 4: days and event: expected days above 0"):
        survival_targets(table(tmp_path, days="0"), "days", "event")
