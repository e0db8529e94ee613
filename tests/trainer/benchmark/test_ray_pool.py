import json
from pathlib import Path

import pytest
from rich.console import Console

from pack_cases import made_pack
from trainer.benchmark import models
from trainer.benchmark.command import InProcess, Pool, bench
from trainer.benchmark.ray_pool import ray_pool


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_two_processes_give_the_same_figures_and_tell_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "SMALL", models.SMALL.model_copy(update={"image_size": 32, "patch_size": 4}))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    made_pack(tmp_path / "data", patients=20)

    reasons: list[str] = []

    def figures(pool: Pool, out: Path) -> list[dict[str, object]]:
        found = bench(["packs"], ["pixels"], tmp_path / "data", out, pool=pool, console=Console(quiet=True))
        reasons.extend(found.refused)
        rows = json.loads((out / "results.json").read_text())
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]

    with ray_pool(None, workers=2) as pool:
        assert figures(pool, tmp_path / "spread") == figures(InProcess(), tmp_path / "here")
        (tmp_path / "data" / "p00" / "0.png").write_bytes(b"no picture")
        assert not reasons
        assert figures(pool, tmp_path / "broken") == []
    assert "row 2 of index.csv, image: " in reasons[0]
