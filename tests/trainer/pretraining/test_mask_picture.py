from pathlib import Path

from typer.testing import CliRunner

from trainer.__main__ import app


def test_the_command_writes_the_same_picture_twice(tmp_path: Path) -> None:
    paths = [tmp_path / "pictures" / name for name in ("a.png", "b.png")]
    for path in paths:
        result = CliRunner().invoke(app, ["masks", "--out", str(path), "--draws", "3"])
        assert result.exit_code == 0, result.output
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(b"\x89PNG")
    assert first == second
