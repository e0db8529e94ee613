"""The page about the embedded model says what its folder says."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_heads_have_the_dice_of_the_folder() -> None:
    page = (ROOT / "docs/demo-model.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| ([\w-]+) \| \**(0\.\d\d)\** \((0\.\d\d) to (0\.\d\d)\), (\d+) people \|", page)
    measured = tomllib.loads((ROOT / "app/demo_model/model.toml").read_text(encoding="utf-8"))["measured"]
    outlining = {name: one for name, one in measured.items() if "dice" in one}
    assert {name for name, *_ in rows} == set(outlining)
    for name, *told in rows:
        figures = [outlining[name][f"dice{part}"] for part in ("", "_95_low", "_95_high", "_patients")]
        assert all(abs(float(one) - true) < 0.0051 for one, true in zip(told, figures, strict=True)), name
