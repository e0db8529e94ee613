"""Parting patients into those who are fitted on and those who are asked about."""

from collections.abc import Sequence


def patient_folds(patients: Sequence[str], num_folds: int) -> tuple[frozenset[str], ...]:
    """Patients dealt out one after the other in the order of their names; a fold is what a head must not see."""
    names = sorted(set(patients))
    return tuple(frozenset(names[start::num_folds]) for start in range(num_folds))
