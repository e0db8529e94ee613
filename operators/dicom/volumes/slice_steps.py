"""What the distances of slices tell: whether one is missing, and which of them were acquired together.

A lost slice leaves a step of twice the usual length. A step may also grow because the slices grow: a head CT is cut
into slices of 2.5 mm at the base of the skull and of 5 mm above it. SliceThickness tells the two apart. Where slices
grow and steps do not follow, or steps grow and slices do not, nothing here tells that a slice is not missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Group = NDArray[np.integer]
"""Indices of slices that belong together, ascending."""

MAX_STEP_RATIO = 1.5
"""Largest over smallest step of like slices that is still a step that varies; a missing slice makes it 2."""

EXACT_RATIO = 0.05
"""How far a step may be off, as a share of it, to count as the same one: tables repeat to 0.1 mm."""

CHANGE_RATIO = 0.2
"""How much longer a step from middle to middle may be where thickness changes, as a share of the thinner slice. What is
missing there is as thick as one of the two; 1.08 mm alone between 4 and 7 mm are 0.27 of the thinner."""

OVERLAPPING_RATIO = 0.75
"""Step over thickness under which slices may be of two acquisitions, each between the other's."""

_MIN_THICKNESS_MM = 0.01
_MIN_SLICES = 3
_MAX_STACKS = 4


@dataclass(frozen=True, slots=True, eq=False)
class SliceSteps:
    """Where slices lie along their normal, at least two at different places.

    distances : (D,) mm, ascending
    thicknesses : (D,) mm, NaN where the header does not tell
    """

    distances: Floats
    thicknesses: Floats

    @property
    def steps(self) -> Floats:
        """(D - 1,) mm between neighbours."""
        return np.diff(self.distances)

    @property
    def ratios(self) -> Floats:
        """(D - 1,) steps over the thickness of the slices at their ends; 1 where slices touch, NaN where unknown."""
        thick = np.where(self.thicknesses >= _MIN_THICKNESS_MM, self.thicknesses, np.nan)
        return self.steps / ((thick[1:] + thick[:-1]) / 2)

    @property
    def expected(self) -> Floats:
        """(D - 1,) steps that go with the thickness of the slices, or the usual one where that is unknown."""
        usual = self.usual_ratio
        between = (self.thicknesses[1:] + self.thicknesses[:-1]) / 2
        return between * usual if usual > 0 else np.full(len(self.steps), np.median(self.steps))

    @property
    def usual_ratio(self) -> float:
        """NaN where the thickness of a slice is unknown."""
        return float(np.median(self.ratios))

    @property
    def is_regular(self) -> bool:
        """Whether steps vary little, or as the thickness of the slices does."""
        return self.vary_little or self.follow_thickness

    @property
    def vary_little(self) -> bool:
        return _even(self.steps)

    @property
    def follow_thickness(self) -> bool:
        """Whether thickness changes and step over thickness does not, so that no slice can be missing.

        Where it changes the step goes from middle to middle (PS3.3 C.7.6.2.1.1), or is shorter where slabs overlap, or
        is one of the two thicknesses where a writer gives positions of edges. The last does not count for one thick
        slice alone: writers that take the step for the thickness make one of a missing slice.
        """
        ratios, steps = self.ratios, self.steps
        before, after = self.thicknesses[:-1], self.thicknesses[1:]
        alike = np.abs(before - after) <= EXACT_RATIO * np.minimum(before, after)
        if not np.isfinite(ratios).all() or not alike.any() or alike.all() or steps.min() <= 0:
            return False
        usual = np.median(ratios[alike])
        thinner = usual * np.minimum(before, after)
        from_middle = steps <= usual * (before + after) / 2 + CHANGE_RATIO * thinner
        from_edge = np.minimum(np.abs(steps - usual * before), np.abs(steps - usual * after)) <= EXACT_RATIO * thinner
        thicker_has_twin = np.where(before > after, np.append(False, alike[:-1]), np.append(alike[1:], False))
        return _even(ratios[alike]) and bool((alike | from_middle | from_edge & thicker_has_twin).all())

    @property
    def may_be_interleaved(self) -> bool:
        """Whether slices lie nearer to one another than one acquisition would put them."""
        return not self.is_regular or self.usual_ratio < OVERLAPPING_RATIO

    def of(self, members: Group) -> "SliceSteps":
        return SliceSteps(self.distances[members], self.thicknesses[members])

    def lie_among_one_another(self, groups: Sequence[Group]) -> bool:
        """Whether groups of slices are whole stacks that cover the same range: acquisitions of the same part."""
        return self._are_stacks(groups) and all(
            self._overlap(one, other) > 0.5 for k, one in enumerate(groups) for other in groups[k + 1 :]
        )

    def overlap_at_their_ends(self, groups: Sequence[Group]) -> bool:
        """Whether groups of slices are whole stacks that go on from one another: slabs of one examination."""
        if not self._are_stacks(groups):
            return False
        ordered = sorted(groups, key=lambda group: float(self.distances[group[0]]))
        return all(self._goes_on(one, other) for one, other in zip(ordered, ordered[1:], strict=False))

    def _goes_on(self, one: Group, other: Group) -> bool:
        """Whether *other* begins before *one* ends, or nearer to its end than slices of either lie to one another."""
        apart = self.distances[other[0]] - self.distances[one[-1]]
        usual = min(np.median(self.of(group).steps) for group in (one, other))
        ends_later = self.distances[other[-1]] > self.distances[one[-1]]
        return bool(apart <= usual and ends_later and self._overlap(one, other) <= 0.5)

    def _are_stacks(self, groups: Sequence[Group]) -> bool:
        if len(groups) < 2 or min(map(len, groups)) < _MIN_SLICES:
            return False
        stacks = [self.of(group) for group in groups]
        return all(stack.is_regular and not stack.usual_ratio > MAX_STEP_RATIO for stack in stacks)

    def _overlap(self, one: Group, other: Group) -> float:
        """What two groups cover both, as a share of what the shorter one covers; 0 or less where they lie apart."""
        starts, ends = self.distances[[one[0], other[0]]], self.distances[[one[-1], other[-1]]]
        return float((ends.min() - starts.max()) / (ends - starts).min())

    @property
    def slabs(self) -> tuple[Group, ...]:
        """The stacks that the slices make where they go on from one another, told by positions; empty where not."""
        stacks = self._even_stacks
        return stacks if self.overlap_at_their_ends(stacks) else ()

    @property
    def interleaved(self) -> tuple[Group, ...]:
        """The stacks that the slices make where they cover the same range, told by positions; empty where not.

        Steps that make one stack of all slices are none, nor are stacks half a step apart, which may be one stack of
        which slices are missing.
        """
        stacks = self._even_stacks
        if self.is_regular or not self.lie_among_one_another(stacks):
            return ()
        firsts = [float(self.distances[stack[0]]) for stack in stacks]
        halves = np.subtract.outer(firsts, firsts) / float(np.median(self.of(stacks[0]).steps)) * 2
        apart = np.abs(halves - np.round(halves))[np.triu_indices(len(stacks), 1)]
        return stacks if apart.min() > 2 * EXACT_RATIO else ()

    @property
    def _even_stacks(self) -> tuple[Group, ...]:
        """The slices as a few stacks of even steps; empty where they are not such, or their thickness is unknown."""
        if not np.isfinite(self.ratios).all() or self.steps.min() <= 0:
            return ()
        left = np.arange(len(self.distances))
        stacks: list[Group] = []
        while len(left) and len(stacks) < _MAX_STACKS:
            stacks.append(self._longest_from_first(left))
            left = np.setdiff1d(left, stacks[-1])
        return () if len(left) else tuple(stacks)

    def _longest_from_first(self, left: Group) -> Group:
        """The longest run of even steps that begins with the first of *left*, whatever lies between its slices."""
        places, longest = self.distances[left], [0]
        for second in range(1, min(len(left), _MAX_STACKS + 1)):
            run, step = [0, second], places[second] - places[0]
            while (following := _next_even(places, run[-1], step)) is not None:
                run.append(following)
            longest = max(longest, run, key=len)
        return left[longest]


def _even(values: Floats) -> bool:
    return bool(0 < values.min() and values.max() <= MAX_STEP_RATIO * values.min())


def _next_even(places: Floats, last: int, step: float) -> int | None:
    """The slice that lies one step after the last one, if there is one."""
    expected = places[last] + step
    after = int(np.searchsorted(places, expected))
    candidates = [k for k in (after - 1, after) if last < k < len(places)]
    nearest = min(candidates, key=lambda k: abs(places[k] - expected), default=None)
    return nearest if nearest is not None and abs(places[nearest] - expected) <= EXACT_RATIO * step else None
