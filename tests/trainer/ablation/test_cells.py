"""One tiny cell from shards to its result."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shard_cases import write_shards
from slice_cases import tiny_config
from trainer.ablation.command import measure_cell, probe_references
from trainer.ablation.labelled import LabelledScan
from trainer.ablation.plan import Cell, plan_cells


def labelled() -> list[LabelledScan]:
    found = []
    for number in range(4):
        generator = torch.Generator().manual_seed(number)
        images, levels = (torch.randn(6, *shape, generator=generator) for shape in ((1, 32, 32), (16,)))
        covered = levels > 0.5
        covered[0], covered[1, 0] = False, True
        found.append(LabelledScan(f"P{number}", "CT", number == 0, images, covered))
    return found


def test_a_cell_is_trained_probed_and_not_trained_again(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards", [8])
    stages = [{"name": "low", "steps": 1, "global_size": 16, "local_size": 8}, {"name": "high", "steps": 1}]
    config = tiny_config(
        data={"shards": "none", "batch_size": 4, "workers": 0},
        losses={"koleo": 0.0},
        run={"precision": "fp32", "log_every": 1},
        stages=stages,
    )
    cell = plan_cells(config.on_shards(str(tmp_path / "shards/train/*.tar")), budget=16, seeds=1)[4]
    scans = labelled()
    result = measure_cell(cell, tmp_path / "cells", scans)
    assert (result.rung, result.seed) == (4, 0)
    assert result.patients.keys() == {"P0"}
    assert result.patients["P0"].keys() == {"knn/CT", "dice/CT", "auc/CT"}
    assert result.signs["step"] == sum(stage.steps for stage in cell.config.stages) == 13
    assert 0.0 < result.signs["target_flatness/dino"] <= 1.0

    folder = tmp_path / "cells" / cell.name
    shutil.rmtree(folder / "checkpoints")
    assert measure_cell(cell, tmp_path / "cells", scans) == result
    assert not (folder / "checkpoints").exists()
    with pytest.raises(ValueError, match=r"measured with other settings.*choose another --out"):
        measure_cell(replace(cell, config=tiny_config()), tmp_path / "cells", scans)


def test_what_learns_nothing_is_probed_by_the_same_means() -> None:
    cells = [Cell(0, seed, tiny_config(run={"seed": seed})) for seed in range(2)]
    found = probe_references(cells, labelled())
    assert {name: [result.seed for result in results] for name, results in found.items()} == {
        "place alone": [0],
        "pixel statistics": [0],
        "before training": [0, 1],
    }
    first, second = (result.patients["P0"] for result in found["before training"])
    assert first.keys() == second.keys() == {"knn/CT", "dice/CT", "auc/CT"}
    assert first["auc/CT"] != second["auc/CT"]
