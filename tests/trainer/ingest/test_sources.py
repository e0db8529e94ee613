import os
from pathlib import Path

import pytest

from trainer.ingest.sources import Folder, in_batches, walk


def test_every_folder_with_files_comes_once_with_its_own_files(tmp_path: Path) -> None:
    for name, size in (("a/b/1", 3), ("a/b/2", 4), ("a/3", 5), ("c/d/e/4", 6)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    (tmp_path / "c/circle").symlink_to(tmp_path)

    found = [(folder.path.relative_to(tmp_path).as_posix(), folder.files) for folder in walk([tmp_path])]

    assert found == [("a", (("3", 5),)), ("a/b", (("1", 3), ("2", 4))), ("c/d/e", (("4", 6),))]


def test_a_closed_folder_is_told_and_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_bytes(b"x")
    scandir = os.scandir

    def closed(path: Path) -> "os._ScandirIterator[str]":
        if path.name == "a":
            raise PermissionError("CANARY")
        return scandir(path)

    # Root may look into every folder, so that no real one is closed where tests run as root.
    monkeypatch.setattr(os, "scandir", closed)
    assert list(walk([tmp_path])) == [
        Folder(tmp_path / "a", (), is_closed=True),
        Folder(tmp_path / "b", (("1", 1),)),
    ]


def test_a_tree_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a folder, .*missing is none"):
        list(walk([tmp_path / "missing"]))


def test_batches_are_full_when_they_hold_enough() -> None:
    folders = [Folder(Path(str(number)), (("x", size),)) for number, size in enumerate((3, 3, 9, 1, 1))]
    batches = [[folder.num_bytes for folder in batch] for batch in in_batches(folders, 5)]
    assert batches == [[3, 3], [9], [1, 1]]


def test_a_file_that_changed_makes_another_folder() -> None:
    before, after = (Folder(Path("x"), (("1.dcm", size),)) for size in (10, 11))
    assert before.words != after.words
