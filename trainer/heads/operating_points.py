"""Where an output is called present: a threshold by a stated rule, on patients that the fit did not see."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from operators.heads.records import Record

Floats = NDArray[np.float64]


class OperatingRule(Record):
    """How a threshold is chosen.

    rule : "youden" makes sensitivity + specificity largest; the others ask for one and take the best of the other
    at_least : the sensitivity or specificity that is asked for
    """

    rule: Literal["none", "youden", "sensitivity", "specificity"] = "youden"
    at_least: float | None = Field(None, gt=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> "OperatingRule":
        if (self.at_least is not None) != (self.rule in ("sensitivity", "specificity")):
            raise ValueError('at_least belongs to the rules "sensitivity" and "specificity", and they need it')
        return self

    @property
    def words(self) -> str:
        """The rule in words, as a head's operating_point begins."""
        return "Youden's index" if self.rule == "youden" else f"{self.rule} at least {self.at_least:g}"


def choose_threshold(probabilities: Floats, present: NDArray[np.bool_], rule: OperatingRule) -> float | None:
    """The probability from which an output is called present; None where one of the two answers is nobody's.

    It lies half-way between the probabilities on either side of it.
    """
    if rule.rule == "none" or present.all() or not present.any():
        return None
    values = np.unique(probabilities)
    # Thresholds between neighbours, and below all of them; called present from each on.
    thresholds = np.concatenate([[values[0]], (values[:-1] + values[1:]) / 2, [values[-1]]])
    below_of_present = np.searchsorted(np.sort(probabilities[present]), thresholds, side="left")
    below_of_absent = np.searchsorted(np.sort(probabilities[~present]), thresholds, side="left")
    sensitivity, specificity = 1 - below_of_present / present.sum(), below_of_absent / (~present).sum()
    if rule.rule == "youden":
        return float(thresholds[int(np.argmax(sensitivity + specificity))])
    asked, other = (sensitivity, specificity) if rule.rule == "sensitivity" else (specificity, sensitivity)
    good = asked >= float(rule.at_least or 0.0)
    if not good.any():
        return None
    return float(thresholds[int(np.argmax(np.where(good, other, -1.0)))])
