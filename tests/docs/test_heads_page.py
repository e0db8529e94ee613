"""The commands of docs/heads.md, run as they stand."""

import json
import os
import subprocess
import sys
from pathlib import Path

from operators.heads.kinds import KINDS

ROOT = Path(__file__).parents[2]


def commands(heading: str) -> str:
    """The first block of commands under a heading."""
    section = (ROOT / "docs/heads.md").read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1]
    return section.split("```sh\n", 1)[1].split("```", 1)[0]


def test_every_kind_has_its_mathematics() -> None:
    lines = (ROOT / "docs/heads-mathematics.md").read_text(encoding="utf-8").splitlines()
    told = {line.removeprefix("## ") for line in lines if line.startswith("## ")}
    assert {f"{task}, {kind}" for task, kind in KINDS} <= told


def test_a_head_is_trained_on_ten_studies_and_used_in_five_commands(tmp_path: Path) -> None:
    told = commands("A head from ten studies")
    assert len(told.strip().splitlines()) == 5
    # As in a clone, whose own build folder stays as it is.
    for name in ("app", "operators", "trainer", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        ["bash", "-euc", told], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout[done.stdout.index("{") :])
    assert result["status"] == "completed"
    assert "made-mass" in {head["name"] for head in result["model"]["heads"]}
    (finding,) = [finding for finding in result["findings"] if finding["name"] == "made-mass: mass"]
    assert finding["threshold"] is not None or finding["reason"] is not None
    assert {path.name for path in (tmp_path / "build/model/heads/made-mass").iterdir()} >= {
        "card.md",
        "reliability.png",
    }
