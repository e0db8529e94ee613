import numpy as np
import pytest
from pydantic import ValidationError

from trainer.heads.operating_points import OperatingRule, choose_threshold

PROBABILITIES = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9])
PRESENT = np.array([0, 0, 1, 0, 0, 1, 1], bool)


@pytest.mark.parametrize(
    ("rule", "between"),
    [
        # Two of three present above 0.6, no absent: 2/3 + 1 is the largest sum.
        (OperatingRule(rule="youden"), (0.6, 0.8)),
        # All three are found from 0.3 down, two absent above it.
        (OperatingRule(rule="sensitivity", at_least=0.9), (0.2, 0.3)),
        (OperatingRule(rule="specificity", at_least=0.75), (0.4, 0.6)),
    ],
)
def test_each_rule_gives_the_threshold_that_a_list_shows(rule: OperatingRule, between: tuple[float, float]) -> None:
    threshold = choose_threshold(PROBABILITIES, PRESENT, rule)
    assert threshold is not None
    assert between[0] < threshold < between[1]


def test_nothing_is_chosen_where_nobody_shows_one_of_the_answers() -> None:
    assert choose_threshold(PROBABILITIES, np.ones(7, bool), OperatingRule()) is None
    assert choose_threshold(PROBABILITIES, PRESENT, OperatingRule(rule="none")) is None


def test_a_rule_and_its_level_belong_together() -> None:
    with pytest.raises(ValidationError, match="at_least belongs"):
        OperatingRule(rule="sensitivity")
    with pytest.raises(ValidationError, match="at_least belongs"):
        OperatingRule(rule="youden", at_least=0.9)
