from pathlib import Path

import pytest

from trainer.benchmark.task import TRACKS, read_task, read_tasks, tracks_of

TEXT = """
name = "t"
track = "packs"
dataset = "d"
modality = "CT"
body_region = "chest"
values = "hu"
kind = "classification"
target = "label"
protocols = ["linear"]
metric = "balanced-accuracy"
"""


def test_every_declared_task_reads_and_has_a_name_of_its_own() -> None:
    names = [task.name for task in read_tasks()]
    assert len(names) == len(set(names)) >= 13


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layout = 2\n" + TEXT, "layout: expected 1, got 2; this version reads no other"),
        (TEXT.replace('"classification"', '"guessing"'), "kind: Input should be"),
        (TEXT.replace('target = "label"', ""), "classification needs target"),
        (TEXT + 'colour = "red"', "colour: Extra inputs are not permitted"),
        ("name =", "Invalid value"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_task(tmp_path / "t.toml")


def test_all_is_every_track() -> None:
    assert tracks_of("all") == TRACKS
    assert tracks_of("2d") == ("2d",)
    with pytest.raises(ValueError, match="expected one of 2d, 3d"):
        tracks_of("4d")
