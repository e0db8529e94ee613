import math
from pathlib import Path

import pytest

from trainer.ablation.report import BEGIN, END, make_table, put_into
from trainer.ablation.results import (
    CellResult,
    difference,
    metrics_of,
    of_the_same_seeds,
    read_result,
    spread,
    write_result,
)


def result(rung: int, seed: int, **dice: float) -> CellResult:
    patients = {name: {"dice/CT": value, "knn/CT": 0.5} for name, value in dice.items()}
    return CellResult(rung, seed, "0a", 60.0, patients, {"loss/total": 1.0})


LOW = [result(0, 0, a=0.2, b=0.4), result(0, 1, a=0.4, b=0.6)]
HIGH = [result(1, 0, a=0.3, b=0.5), result(1, 1, a=0.5, b=0.7)]


def test_spread_is_over_the_means_of_the_seeds() -> None:
    """Means 0.3 and 0.5: mean 0.4, unbiased deviation 0.2 / sqrt(2)."""
    found = spread(LOW, "dice/CT")
    assert found.mean == pytest.approx(0.4)
    assert found.deviation == pytest.approx(0.2 / math.sqrt(2))
    assert math.isnan(spread(LOW[:1], "dice/CT").deviation)


def test_a_difference_that_every_patient_has_needs_no_interval() -> None:
    found = difference(HIGH, LOW, "dice/CT")
    assert [found.value, found.low, found.high] == pytest.approx([0.1, 0.1, 0.1])


def test_a_difference_of_some_patients_is_as_wide_as_they_differ() -> None:
    """One patient gains 0.4, the other nothing: resamples hold the first never, once or twice."""
    found = difference([result(1, 0, a=0.6, b=0.4)], LOW[:1], "dice/CT")
    assert [found.value, found.low, found.high] == pytest.approx([0.2, 0.0, 0.4])


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert read_result(path) is None
    write_result(LOW[0], path)
    assert read_result(path) == LOW[0]
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_the_table_has_a_row_for_each_rung_and_each_step() -> None:
    assert metrics_of(LOW) == ["dice/CT", "knn/CT"]
    references = {"place alone": LOW[:1], "before training": [result(0, seed, a=0.1, b=0.3) for seed in (0, 1)]}
    lines = make_table([*HIGH, *LOW], references).splitlines()
    assert lines[0] == "| settings | Dice CT | k-NN CT | minutes |"
    assert lines[2] == "| place alone | 0.300 | 0.500 |  |"
    assert lines[3] == "| before training | 0.200 ± 0.000 | 0.500 ± 0.000 |  |"
    assert lines[4] == "| DINOv2 | 0.400 ± 0.141 | 0.500 ± 0.000 | 1.0 |"
    assert lines[5].startswith("| + content-aware crops | 0.500 ± 0.141 |")
    assert lines[-2] == "| DINOv2 | +0.200 (+0.200 to +0.200) | +0.000 (+0.000 to +0.000) |"
    assert lines[-1] == "| + content-aware crops | +0.100 (+0.100 to +0.100) | +0.000 (+0.000 to +0.000) |"


def test_rungs_are_compared_over_the_seeds_that_both_have() -> None:
    high, low = of_the_same_seeds(HIGH[1:], LOW)
    assert [found.seed for found in (*high, *low)] == [1, 1]
    assert difference(high, low, "dice/CT").value == pytest.approx(0.1)


def test_the_table_goes_between_the_marks_and_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "ablation.md"
    page.write_text(f"words\n{BEGIN}\nold\n{END}\nmore words\n")
    put_into(page, "| new |\n")
    put_into(page, "| newer |\n")
    assert page.read_text() == f"words\n{BEGIN}\n| newer |\n\n{END}\nmore words\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="between which the table goes"):
        put_into(page, "")
