"""The whole run on made packs."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pack_cases import made_pack, write_index, write_picture
from trainer.__main__ import app
from trainer.benchmark import models
from trainer.benchmark.command import InProcess, Work, bench
from trainer.features.slice_models import SliceModel


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, pixels: SliceModel) -> None:
    """Patches of 4 pixels in images of 32, so that a run takes a second."""
    monkeypatch.setattr(models, "SMALL", models.SMALL.model_copy(update={"image_size": 32, "patch_size": 4}))
    models.open_spec.cache_clear()


def figures(out: Path) -> list[dict[str, object]]:
    """Rows but for their seconds."""
    rows = json.loads((out / "results.json").read_text())
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def run(data: Path, out: Path, pool: InProcess | None = None, words: Sequence[str] = ("pixels",)) -> list[str]:
    console = Console(quiet=True)
    return list(bench(["packs"], words, data, out, pool=pool or InProcess(), console=console).refused)


def test_a_pack_gives_figures_with_intervals_and_a_page(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["bench", "--track", "packs", "--model", "pixels", "--model", "random", "--model", "place"]
    result = CliRunner().invoke(app, [*command, "--data", str(pack.parent), "--out", str(out)])
    assert result.exit_code == 0, result.output
    rows = json.loads((out / "results.json").read_text())
    assert list(rows[0]) == [
        "track", "task", "model", "protocol", "metric", "value", "low", "high", "n_patients", "n_test", "seconds",
    ]  # fmt: skip
    found = {(row["task"], row["model"], row["protocol"], row["metric"]): row for row in rows}
    told = found["made-label", "pixels", "linear", "balanced-accuracy"]
    assert (told["value"], told["low"], told["n_patients"], told["n_test"]) == (1.0, 1.0, 12, 24)
    assert found["made-mask", "pixels", "dense", "dice"]["value"] > 0.85
    assert found["made-age", "pixels", "ridge", "mae"]["value"] < 6
    assert found["made-label", "place", "linear", "balanced-accuracy"]["value"] == 0.5
    assert found["made-mask", "place", "dense", "dice"]["value"] < found["made-mask", "pixels", "dense", "dice"]["low"]
    compared = json.loads((out / "comparisons.json").read_text())
    assert {(row["model"], row["other"]) for row in compared} == {("pixels", "random"), ("pixels", "place")}
    assert all(row["low"] <= row["difference"] <= row["high"] <= 1 and row["p_adjusted"] <= 1 for row in compared)
    page = (out / "report.html").read_text()
    assert "made-label" in page
    assert "SECRET" not in page + (out / "results.json").read_text()
    assert {path.name for path in (out / "figures").iterdir()} >= {"packs-bars.png", "packs-few-shot.png"}


class KillsItself(InProcess):
    """Ends its process, as the kernel does when memory runs out, once so many chunks are done."""

    def run(self, work: Sequence[Work], done: Callable[[int, str | None], None]) -> None:
        for place, item in enumerate(work):
            if place == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            done(place, item.do())


def test_a_killed_run_goes_on_and_gives_the_same_figures(tmp_path: Path) -> None:
    made_pack(tmp_path / "data", patients=20)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    run(tmp_path / "data", undisturbed)
    process = multiprocessing.get_context("fork").Process(target=run, args=(tmp_path / "data", killed, KillsItself()))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    first = {path: path.stat().st_mtime_ns for path in killed.rglob("chunk-*.safetensors")}
    assert len(first) == 1
    run(tmp_path / "data", killed)
    assert figures(killed) == figures(undisturbed)
    assert all(path.stat().st_mtime_ns == written for path, written in first.items())


def test_what_is_measured_is_not_measured_again(pack: Path, tmp_path: Path) -> None:
    run(pack.parent, tmp_path / "out")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/cache").rglob("*.*")}
    run(pack.parent, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out/cache").rglob("*.*")} == written


def test_a_pack_with_leakage_is_left_out_and_the_others_are_measured(pack: Path, tmp_path: Path) -> None:
    rows = made_pack(tmp_path / "data" / "leaky")
    write_index(tmp_path / "data" / "leaky", [{**row, "split": ("train", "test")[k % 2]} for k, row in enumerate(rows)])
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["bench", "--track", "packs", "--model", "pixels", "--data", str(tmp_path / "data"), "--out", str(out)]
    )
    assert result.exit_code == 4
    assert "12 of 12 patients are in train and in test" in result.output
    assert {row["task"] for row in figures(out)} == {"made-mask", "made-label", "made-age"}
    assert "in train and in test" in (out / "report.html").read_text()


def test_a_mask_of_another_shape_is_told(pack: Path, tmp_path: Path) -> None:
    write_picture(pack / "p01" / "0_mask.png", np.full((16, 32), 255))
    (reason,) = run(pack.parent, tmp_path / "out")
    assert "made: row 4: mask: expected a mask of the image's shape (1, 32, 32), got (1, 16, 32)" in reason
    assert {row["task"] for row in figures(tmp_path / "out")} == {"made-label", "made-age"}


def test_an_image_that_cannot_be_read_leaves_its_pack_out(pack: Path, tmp_path: Path) -> None:
    made_pack(tmp_path / "data" / "whole", patients=6)
    (tmp_path / "data" / "empty").mkdir()
    (tmp_path / "data" / "empty" / "index.csv").write_text("image,label,patient_id\n")
    (pack / "p01" / "1.png").write_bytes(b"cut short")
    no_rows, reason = run(pack.parent, tmp_path / "out")
    assert "expected a header and rows, found none" in no_rows
    assert "made: row 5 of index.csv, image: " in reason
    assert {str(row["task"]).partition("-")[0] for row in figures(tmp_path / "out")} == {"whole"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--track", "4d", "--model", "pixels"], "--track: expected one of"),
        (["--track", "packs", "--model", "nowhere"], "--model nowhere: expected a model folder"),
        (["--track", "packs", "--model", "."], "config.json"),
        (["--track", "packs", "--model", "pillar-0=."], "pillar-0 is not held: its architecture comes as code"),
        (["--track", "packs", "--model", "pixels"], "expected data of the track packs, found none"),
    ],
)
def test_wrong_arguments_are_told(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["bench", *arguments, "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
