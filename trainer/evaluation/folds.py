"""Parting patients into those who are fitted on and those who are asked about."""

from collections.abc import Mapping, Sequence
from typing import Literal

Part = Literal["train", "test"]

PARTS: Mapping[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "train",
    "valid": "train",
    "validation": "train",
    "test": "test",
}
"""Of published splits the validation part is fitted on: nothing is chosen on it but within the fitted patients."""


def patient_folds(patients: Sequence[str], num_folds: int) -> tuple[frozenset[str], ...]:
    """Patients dealt out one after the other in the order of their names; a fold is what a head must not see."""
    return stratified_folds(dict.fromkeys(patients, ""), num_folds)


def stratified_folds(strata: Mapping[str, str], num_folds: int) -> tuple[frozenset[str], ...]:
    """Folds of patients, dealt out stratum by stratum, so that every fold has its share of each.

    strata : of each patient what is to be shared out evenly, such as a class
    """
    names = sorted(strata, key=lambda patient: (strata[patient], patient))
    return tuple(frozenset(names[start::num_folds]) for start in range(num_folds))
