"""What is read where the best volume for a role turns out to be unreadable: the next best, and both are told.

Headers promise what pixels do not keep: a file is cut short, two slices at one position differ, values are no CT
numbers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from operators.dicom.selection.rules import SelectionRules
from operators.dicom.selection.series_selection import SeriesDecision, without_volumes
from operators.dicom.volumes.slices import VolumeCandidate
from operators.errors import InputError

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, eq=False)
class Unreadable:
    """A volume that was the best for a role and could not be read.

    replacement : Series Instance UID of what was read for the role in its place; None where nothing fits
    """

    role: str
    error: InputError
    replacement: str | None

    @property
    def message(self) -> str:
        """In plain words; names the series as the error does."""
        taken = f"series {self.replacement} is read in its place" if self.replacement else "no other series fits"
        return f"{self.error} (the best {self.role}; {taken})"


@dataclass(frozen=True, slots=True, eq=False)
class BestReadable(Generic[Read]):
    """What could be read.

    decisions : about every series, with what is known now
    read : each selected decision and what was made of its volume
    unreadable : what could not be read, the best first
    """

    decisions: tuple[SeriesDecision, ...]
    read: tuple[tuple[SeriesDecision, Read], ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def unfilled(self) -> tuple[Unreadable, ...]:
        """The roles for which nothing could be read, though a series fits them by its headers."""
        return tuple(one for one in self.unreadable if one.replacement is None)


def read_best(
    decisions: Iterable[SeriesDecision], rules: SelectionRules, read: Callable[[VolumeCandidate], Read]
) -> BestReadable[Read]:
    """Read what is selected; where that fails, select again without it.

    Raises
    ------
    InputError
        When nothing can be read: why the best volume cannot.
    """
    decisions = tuple(decisions)
    done: dict[VolumeCandidate, Read] = {}
    failed: dict[VolumeCandidate, InputError] = {}
    failures: list[tuple[str, InputError]] = []
    while waiting := [one for one in decisions if one.selected and one.volume not in done]:
        for decision in waiting:
            try:
                done[decision.volume] = read(decision.volume)
            except InputError as error:
                failed[decision.volume] = error
                failures += [(role, error) for role in decision.roles]
        decisions = without_volumes(decisions, {volume: _reason(error) for volume, error in failed.items()}, rules)
    taken = {role: one.series.series_instance_uid for one in decisions if one.selected for role in one.roles}
    if failures and not taken:
        raise failures[0][1]
    unreadable = tuple(Unreadable(role, error, taken.get(role)) for role, error in failures)
    decisions = tuple(_explained(decision, unreadable) for decision in decisions)
    selected = tuple((decision, done[decision.volume]) for decision in decisions if decision.selected)
    return BestReadable(decisions, selected, unreadable)


def _explained(decision: SeriesDecision, unreadable: Iterable[Unreadable]) -> SeriesDecision:
    """Why a series that is not the best is read all the same."""
    if not decision.selected:
        return decision
    better = (f"in place of a better {one.role}: {one.error}" for one in unreadable if one.role in decision.roles)
    return replace(decision, reasons=(*better, *decision.reasons))


def _reason(error: InputError) -> str:
    """Without the name of the series, beside which it stands."""
    return f"cannot be read: {str(error).partition(': ')[2]}"
