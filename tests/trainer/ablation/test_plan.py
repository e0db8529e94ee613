from collections.abc import Mapping
from pathlib import Path

import pytest

from slice_cases import tiny_config
from trainer.ablation.plan import RUNGS, Cell, plan_cells
from trainer.pretraining.config import PretrainingConfig, read_config

CONFIGS = Path(__file__).parents[3] / "trainer" / "pretraining" / "configs"
SHIPPED = read_config(CONFIGS / "ablation.toml")


def flat(record: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in record.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def differing(one: PretrainingConfig, other: PretrainingConfig) -> set[str]:
    left, right = flat(one.model_dump()), flat(other.model_dump())
    return {name for name in left | right if left.get(name) != right.get(name)}


def tokens(cell: Cell) -> int:
    """Patch tokens of the global crops of one slice in every step."""
    patch = cell.config.model.patch_size
    return sum(stage.steps * ((stage.global_size or 0) // patch) ** 2 for stage in cell.config.stages)


def test_neighbours_differ_in_one_change_alone() -> None:
    cells = plan_cells(SHIPPED, budget=200, seeds=1)
    assert [cell.rung for cell in cells] == list(range(len(RUNGS)))
    steps = [differing(low.config, high.config) for low, high in zip(cells[:-1], cells[1:], strict=True)]
    assert steps == [
        {"crops.content.enabled"},
        {"masking.kind"},
        {"stages"},
        {"losses.sigreg", "losses.koleo"},
    ]


def test_the_first_rung_is_dinov2_and_the_last_has_all_four_changes() -> None:
    first, *_, last = plan_cells(SHIPPED, budget=200, seeds=1)
    assert (first.config.masking.kind, first.config.crops.content.enabled) == ("blockwise", False)
    assert (first.config.losses.koleo, first.config.losses.sigreg, len(first.config.stages)) == (0.1, 0.0, 1)
    assert (last.config.masking.kind, last.config.crops.content.enabled) == ("anatomy", True)
    assert (last.config.losses.koleo, last.config.losses.sigreg, len(last.config.stages)) == (0.0, 0.02, 2)


def test_seeds_are_other_trainings_of_the_same_settings() -> None:
    cells = plan_cells(SHIPPED, budget=200, seeds=3)
    assert [cell.seed for cell in cells] == [0] * 5 + [1] * 5 + [2] * 5
    assert len({cell.name for cell in cells}) == 15
    for cell in cells[5:]:
        assert differing(cell.config, cells[cell.rung].config) == {"run.seed", "data.seed"}


@pytest.mark.parametrize("budget", [16, 200, 1001])
def test_every_cell_sees_as_many_tokens(budget: int) -> None:
    cells = plan_cells(SHIPPED, budget=budget, seeds=1)
    assert {tokens(cell) for cell in cells} == {budget * 8 * 8}


def test_a_quarter_of_the_budget_is_for_the_fine_stage() -> None:
    """At twice the resolution a step costs four."""
    *_, last = plan_cells(SHIPPED, budget=160, seeds=1)
    assert [stage.steps for stage in last.config.stages] == [120, 10]


def test_a_budget_without_a_fine_step_and_a_config_of_one_stage_are_refused() -> None:
    with pytest.raises(ValueError, match=r"budget: expected enough for a step at 256 pixels, got 7 at 128"):
        plan_cells(SHIPPED, budget=7, seeds=1)
    with pytest.raises(ValueError, match=r"stages: expected two.*got 1"):
        plan_cells(tiny_config(), budget=10, seeds=1)
