"""A series to the volumes it holds: its stacks of like slices, and in each stack what lies at the same positions.

Scanners put time points, b-values, echoes and cardiac phases of one acquisition into one series, and localisers their
three planes. What tells slices at equal positions apart is looked for in the headers, in the order of `SEPARATORS`;
where nothing does, the slices stay together and the volume reader refuses them as duplicates. Two acquisitions of the
same part may also lie between one another's positions; they are told apart likewise, or by their even steps.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.selection.separators import SEPARATORS, Separator, sortable, volume_label
from operators.dicom.study.header_values import UNREADABLE, numbers_of, text_of
from operators.dicom.study.study_index import Instance, SeriesIndex
from operators.dicom.volumes.slice_stack import EDGE_TOLERANCE_MM, SAME_POSITION_MM, size_mm, thicknesses
from operators.dicom.volumes.slice_steps import Group, SliceSteps
from operators.dicom.volumes.slices import Slice, VolumeCandidate, slices_of
from operators.errors import SeriesGeometryError

SAME_ORIENTATION = 1e-2
"""Difference of direction cosines up to which slices belong to one stack, about half a degree."""

AXIAL_MIN_COSINE = 0.7
"""A slice normal this near an axis of the patient is called by that axis."""


def split_series(series: SeriesIndex) -> tuple[VolumeCandidate, ...]:
    """Every volume that the series may hold, the largest stack first, each stack's in the order of its labels."""
    stacks = _stacks([plane for instance in series.instances for plane in _planes(instance)])
    names = _distinct_names([_stack_name(stack) for stack in stacks]) if len(stacks) > 1 else [""]
    return tuple(
        VolumeCandidate(series.series_instance_uid, series.modality, slices, ", ".join(filter(None, (name, label))))
        for name, stack in zip(names, stacks, strict=True)
        for label, slices in _parts(stack)
    )


def plane_of(header: Dataset) -> str:
    """axial, coronal, sagittal or oblique, after the axis that the slice normal is near; empty if nothing tells."""
    cosines = numbers_of(header, "ImageOrientationPatient")
    if len(cosines) != 6:
        return ""
    normal = np.abs(np.cross(cosines[:3], cosines[3:]))
    nearest = int(np.argmax(normal))
    return ("sagittal", "coronal", "axial")[nearest] if normal[nearest] >= AXIAL_MIN_COSINE else "oblique"


def _planes(instance: Instance) -> tuple[Slice, ...]:
    try:
        return slices_of(instance)
    except (SeriesGeometryError, *UNREADABLE):
        # One plane that says it has many frames; the checks of the selection name it.
        return (Slice(instance, 0, instance.header),)


def _stacks(slices: Iterable[Slice]) -> list[tuple[Slice, ...]]:
    """Slices of one object class, matrix, pixel spacing and orientation, the largest stack first."""
    coarse: dict[Hashable, list[Slice]] = defaultdict(list)
    for plane in slices:
        header = plane.header
        coarse[tuple(text_of(header, word) for word in ("SOPClassUID", "Rows", "Columns", "SamplesPerPixel"))].append(
            plane
        )
    stacks = [stack for group in coarse.values() for stack in _alike(group)]
    return sorted(stacks, key=len, reverse=True)


def _alike(slices: Sequence[Slice]) -> list[tuple[Slice, ...]]:
    stacks: list[tuple[NDArray[np.float64] | None, list[Slice]]] = []
    for plane in slices:
        grid = _grid(plane.header)
        for known, members in stacks:
            if _same_grid(known, grid):
                members.append(plane)
                break
        else:
            stacks.append((grid, [plane]))
    return [tuple(members) for _, members in stacks]


def _grid(header: Dataset) -> NDArray[np.float64] | None:
    """Direction cosines, and height and width in the unit of SAME_ORIENTATION; None where the slice has no place."""
    cosines, spacing = numbers_of(header, "ImageOrientationPatient"), numbers_of(header, "PixelSpacing")
    if not (len(cosines) == 6 and len(spacing) == 2 and min(spacing) > 0 and len(_position(header)) == 3):
        return None
    return np.array([*cosines, *np.multiply(size_mm(header, spacing), SAME_ORIENTATION / EDGE_TOLERANCE_MM)])


def _same_grid(one: NDArray[np.float64] | None, other: NDArray[np.float64] | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.abs(one - other).max() <= SAME_ORIENTATION)


def _position(header: Dataset) -> tuple[float, ...]:
    return numbers_of(header, "ImagePositionPatient")


def _stack_name(stack: Sequence[Slice]) -> str:
    header = stack[0].header
    if _grid(header) is None:
        return "slices without a place"
    return f"{plane_of(header)} {text_of(header, 'Columns')} x {text_of(header, 'Rows')}"


def _distinct_names(names: Sequence[str]) -> list[str]:
    total, seen = Counter(names), Counter[str]()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name} (stack {seen[name]} of {total[name]})" if total[name] > 1 else name)
    return distinct


@dataclass(frozen=True, slots=True)
class _Groups:
    """Slices by what is known of them so far: their position, then the value of each separator that was needed."""

    positions: tuple[int, ...]
    keys: tuple[tuple[Hashable, ...], ...]

    @property
    def members(self) -> dict[tuple[int, tuple[Hashable, ...]], list[int]]:
        groups: dict[tuple[int, tuple[Hashable, ...]], list[int]] = defaultdict(list)
        for number, group in enumerate(zip(self.positions, self.keys, strict=True)):
            groups[group].append(number)
        return groups

    @property
    def most(self) -> int:
        return max(map(len, self.members.values()))

    def told_apart_by(self, values: Sequence[Hashable]) -> bool:
        return any(len({values[k] for k in members}) > 1 for members in self.members.values())

    def explain(self, values: Sequence[Hashable]) -> bool:
        """Whether no part has more values than slices at one position: then a value belongs to a whole volume."""
        most: dict[tuple[Hashable, ...], int] = defaultdict(int)
        found: dict[tuple[Hashable, ...], set[Hashable]] = defaultdict(set)
        for (_, key), members in self.members.items():
            most[key] = max(most[key], len(members))
            found[key].update(values[k] for k in members)
        return all(len(found[key]) <= most[key] for key in most)

    def with_values(self, values: Sequence[Hashable]) -> "_Groups":
        keys = tuple((*key, value) for key, value in zip(self.keys, values, strict=True))
        return _Groups(self.positions, keys)


def _parts(stack: Sequence[Slice]) -> list[tuple[str, tuple[Slice, ...]]]:
    """The volumes of one stack with their labels."""
    if _grid(stack[0].header) is None:
        return [("", tuple(stack))]
    groups = _Groups(_position_numbers(stack), ((),) * len(stack))
    used = []
    for separator in SEPARATORS:
        if groups.most == 1:
            break
        values = _separating_values(separator, stack, groups)
        if values is not None:
            groups = groups.with_values(values)
            used.append(separator)
    return [piece for part in _labelled(stack, groups, used) for piece in _acquisitions(*part)]


def _acquisitions(label: str, part: tuple[Slice, ...]) -> list[tuple[str, tuple[Slice, ...]]]:
    """The stacks of a volume's slices that cover the same range, at positions between one another's.

    Slabs that only overlap at their ends stay together: together they show the whole.
    """
    distances = _distances(part)
    order = np.argsort(distances, kind="stable")
    ordered = [part[k] for k in order]
    steps = SliceSteps(distances[order], thicknesses([plane.header for plane in ordered]))
    if len(part) == 1 or steps.steps.min() <= SAME_POSITION_MM or not steps.may_be_interleaved:
        return [(label, part)]
    found = _told_by_headers(ordered, steps) or _told_by_positions(steps)
    return [
        (", ".join(filter(None, (label, name))), tuple(ordered[k] for k in members)) for name, members in found
    ] or [(label, part)]


def _told_by_headers(ordered: Sequence[Slice], steps: SliceSteps) -> list[tuple[str, Group]]:
    """The first separator's groups that are whole stacks among one another, with their labels."""
    for separator in SEPARATORS:
        values = [separator.value(plane.header) for plane in ordered]
        distinct = sorted(set(values), key=sortable)
        groups = [np.array([k for k, value in enumerate(values) if value == one]) for one in distinct]
        if steps.lie_among_one_another(groups):
            keys = [(value,) for value in distinct]
            return [(volume_label(key, keys, [separator]), group) for key, group in zip(keys, groups, strict=True)]
    return []


def _told_by_positions(steps: SliceSteps) -> list[tuple[str, Group]]:
    stacks = steps.interleaved
    return [(f"stack {rank} of {len(stacks)}", stack) for rank, stack in enumerate(stacks, start=1)]


def _position_numbers(stack: Sequence[Slice]) -> tuple[int, ...]:
    """Which of the stack's positions along its normal each slice has."""
    distances = _distances(stack)
    order = np.argsort(distances, kind="stable")
    steps = np.diff(distances[order], prepend=distances[order[0]]) > SAME_POSITION_MM
    ranks = np.empty(len(stack), np.int64)
    ranks[order] = np.cumsum(steps)
    return tuple(ranks.tolist())


def _distances(stack: Sequence[Slice]) -> NDArray[np.float64]:
    """(D,) mm of each slice along the first one's normal."""
    cosines = numbers_of(stack[0].header, "ImageOrientationPatient")
    normal = np.cross(cosines[:3], cosines[3:])
    return np.asarray(np.array([_position(plane.header) for plane in stack]) @ normal, np.float64)


def _separating_values(separator: Separator, stack: Sequence[Slice], groups: _Groups) -> tuple[Hashable, ...] | None:
    """A value for each slice that tells some slices at one position apart, or None where the separator does not."""
    values = tuple(separator.value(plane.header) for plane in stack)
    if not groups.told_apart_by(values):
        return None
    if groups.explain(values):
        return values
    # More values than slices at any position: the value changes along the stack too, so only its order can tell.
    return _ranks(values, groups) if separator.is_clock else None


def _ranks(values: Sequence[Hashable], groups: _Groups) -> tuple[Hashable, ...] | None:
    """The order of each slice at its position; None where a position lacks a slice, for then orders mean nothing."""
    members = groups.members.values()
    if len({len(group) for group in members}) > 1 or any(
        len({values[k] for k in group}) < len(group) for group in members
    ):
        return None
    ranks: dict[int, int] = {}
    for group in members:
        for rank, k in enumerate(sorted(group, key=lambda k: sortable(values[k])), start=1):
            ranks[k] = rank
    return tuple(ranks[k] for k in range(len(values)))


def _labelled(
    stack: Sequence[Slice], groups: _Groups, used: Sequence[Separator]
) -> list[tuple[str, tuple[Slice, ...]]]:
    volumes: dict[tuple[Hashable, ...], list[Slice]] = defaultdict(list)
    for key, plane in zip(groups.keys, stack, strict=True):
        volumes[key].append(plane)
    keys = sorted(volumes, key=lambda key: tuple(map(sortable, key)))
    return [(volume_label(key, keys, used), tuple(volumes[key])) for key in keys]
