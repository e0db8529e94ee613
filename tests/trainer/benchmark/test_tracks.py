"""Every declared task of every track, on small shards of the published layout."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from published_layout import npy, png, write_data_set
from trainer.benchmark import models
from trainer.benchmark.command import InProcess, Outcome, bench
from trainer.benchmark.dataset import BenchmarkDataError
from trainer.benchmark.shards import find_shards
from trainer.benchmark.task import TRACKS, read_tasks

TASKS = [task for task in read_tasks() if task.track != "packs"]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    data = tmp_path_factory.mktemp("data")
    for task in TASKS:
        write_data_set(task, data)
    with pytest.MonkeyPatch.context() as patched:
        # Patches of 4 pixels in images of 32, so that all tasks take seconds.
        patched.setattr(models, "SMALL", models.SMALL.model_copy(update={"image_size": 32, "patch_size": 4}))
        models.open_spec.cache_clear()
        found = bench(TRACKS, ["pixels"], data, data / "out", pool=InProcess(), console=Console(quiet=True))
    models.open_spec.cache_clear()
    assert (data / "out" / "report.html").exists()
    return found


def test_every_task_has_its_main_figure(outcome: Outcome) -> None:
    assert not outcome.refused
    measured = {(row.track, row.task, row.metric) for row in outcome.rows}
    assert {(task.track, task.name, task.metric) for task in TASKS} <= measured
    assert {(row.task, row.protocol) for row in outcome.rows} >= {
        (task.name, protocol) for task in TASKS for protocol in task.protocols if protocol != "few-shot"
    }


def test_only_the_test_part_is_asked(outcome: Outcome) -> None:
    assert {row.n_test for row in outcome.rows if row.track in ("2d", "3d")} == {12}


def test_what_the_images_show_is_told(outcome: Outcome) -> None:
    """Stripes tell the class; a square that was moved finds itself again."""
    best: dict[str, float] = {}
    for row in outcome.rows:
        best[f"{row.task}/{row.metric}"] = max(row.value, best.get(f"{row.task}/{row.metric}", 0.0))
    for told in ("stroke/balanced-accuracy", "alzheimer/balanced-accuracy"):
        assert best[told] > 0.9, told
    assert best["findings/mean-auc"] > 0.9
    assert best["meningioma/dice"] > 0.6
    by_protocol = {row.protocol: row.value for row in outcome.rows if row.task == "registration-ct"}
    assert by_protocol["alignment"] > 0.95
    assert by_protocol["nearest-tokens"] > 0.4
    assert best["kidney-cancer-survival/c-index"] > 0.7


def shard(folder: Path, rows: list[dict[str, object]], name: str = "train-00000-of-00001.parquet") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)


def test_pictures_arrays_and_lists_are_the_same_image(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for name, cell in (("a", png(pixels)), ("b", npy(pixels)), ("c", pixels.tolist())):
        shard(tmp_path / name, [{"image": cell, "mask": None, "target": "x", "filename": "f"}])
        found = find_shards(tmp_path, name)
        assert found is not None
        np.testing.assert_array_equal(found.read_image(0, "image").array[0], pixels)
        assert dict(found.rows[0]) == {
            "patient_id": "f",
            "image": "image",
            "mask": "",
            "target": "x",
            "filename": "f",
            "split": "train",
        }


def test_a_data_set_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert find_shards(tmp_path, "ich") is None


@pytest.mark.parametrize(
    ("row", "name", "words"),
    [
        (
            {"mask": None, "target": "x", "filename": "f"},
            "train-0.parquet",
            "expected the columns image, the shard has",
        ),
        ({"image": b"x", "filename": "f"}, "holdout-0.parquet", "expected a name that begins with one of train"),
    ],
)
def test_shards_of_another_layout_are_refused(tmp_path: Path, row: dict[str, object], name: str, words: str) -> None:
    shard(tmp_path / "ich", [row], name)
    with pytest.raises(BenchmarkDataError, match=words):
        find_shards(tmp_path, "ich")


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ich").mkdir()
    (tmp_path / "ich" / "train-0.parquet").write_bytes(b"nothing")
    with pytest.raises(BenchmarkDataError, match="train-0.parquet: expected a parquet file"):
        find_shards(tmp_path, "ich")


def test_an_image_of_no_shape_is_told(tmp_path: Path) -> None:
    shard(tmp_path / "ich", [{"image": npy(np.zeros(4)), "filename": "f"}])
    found = find_shards(tmp_path, "ich")
    assert found is not None
    with pytest.raises(BenchmarkDataError, match=r"row 0, image: expected \(rows, columns\) or .*, got \(4,\)"):
        found.read_image(0, "image")
