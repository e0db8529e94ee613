"""What rules can ask about a volume: header values of its slices, and a few things worked out from them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.selection.conditions import Condition, Row, is_sequence
from operators.dicom.selection.separators import b_value
from operators.dicom.selection.series_splitting import plane_of
from operators.dicom.study.header_values import number_of, numbers_of, text_of, texts_of, value_of
from operators.dicom.volumes.slice_stack import SAME_POSITION_MM
from operators.dicom.volumes.slices import VolumeCandidate


@dataclass(frozen=True, eq=False)
class VolumeFacts:
    """A volume as rules see it. Rules ask every slice; slices that answer alike are asked once."""

    volume: VolumeCandidate
    _columns: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)

    @property
    def num_slices(self) -> int:
        """Slices at different positions; all, where some have none."""
        return len(self.volume.slices) if self._steps_mm is None else len(self._steps_mm) + 1

    @property
    def slice_spacing_mm(self) -> float | None:
        """The median distance of neighbouring slices along their normal."""
        steps = self._steps_mm
        return None if steps is None or not len(steps) else float(np.median(steps))

    @cached_property
    def _steps_mm(self) -> NDArray[np.float64] | None:
        headers = [plane.header for plane in self.volume.slices]
        positions = [numbers_of(header, "ImagePositionPatient") for header in headers]
        cosines = numbers_of(headers[0], "ImageOrientationPatient")
        if len(cosines) != 6 or any(len(position) != 3 for position in positions):
            return None
        steps = np.diff(np.sort(np.array(positions) @ np.cross(cosines[:3], cosines[3:])))
        return np.asarray(steps[steps > SAME_POSITION_MM])

    @property
    def extent_mm(self) -> float | None:
        """Length in mm from the outer side of the first slice to that of the last."""
        steps, usual = self._steps_mm, self.slice_spacing_mm
        return None if steps is None or usual is None else float(steps.sum()) + usual

    def everywhere(self, condition: Condition) -> bool:
        return all(condition.holds(row) for row in self._rows(condition))

    def anywhere(self, condition: Condition) -> bool:
        return any(condition.holds(row) for row in self._rows(condition))

    def _rows(self, condition: Condition) -> list[Row]:
        names = sorted(condition.columns)
        distinct = set(zip(*(self._column(name) for name in names), strict=True))
        return [dict(zip(names, row, strict=True)) for row in distinct]

    def _column(self, name: str) -> tuple[tuple[str, ...], ...]:
        """What each slice has for a keyword or a property, in text as headers have it."""
        if name not in self._columns:
            self._columns[name] = self._of_volume(name) if name in _OF_VOLUME else self._of_slices(name)
        return self._columns[name]

    def _of_volume(self, name: str) -> tuple[tuple[str, ...], ...]:
        found = _OF_VOLUME[name](self)
        return ((() if found is None else (f"{found:.6g}",)),) * len(self.volume.slices)

    def _of_slices(self, name: str) -> tuple[tuple[str, ...], ...]:
        headers = (plane.header for plane in self.volume.slices)
        if name in _OF_SLICE:
            return tuple(_OF_SLICE[name](header) for header in headers)
        if is_sequence(name):
            return tuple(("items",) if value_of(header, name) else () for header in headers)
        return tuple(texts_of(header, name) for header in headers)


def acquired(volume: VolumeCandidate) -> tuple[str, float]:
    """Sorts volumes by when they were acquired, then by the number of their series."""
    header = volume.slices[0].header
    when = (
        text_of(header, "AcquisitionDateTime")
        or _date_and_time(header, "Acquisition")
        or _date_and_time(header, "Series")
    )
    return when, number_of(header, "SeriesNumber") or 0.0


def _date_and_time(header: Dataset, what: str) -> str:
    date, time = text_of(header, f"{what}Date"), text_of(header, f"{what}Time")
    return date + time if date else ""


def _plane_text(header: Dataset) -> tuple[str, ...]:
    plane = plane_of(header)
    return (plane,) if plane else ()


def _b_value_text(header: Dataset) -> tuple[str, ...]:
    found = b_value(header)
    return () if found is None else (f"{found:.6g}",)


_OF_VOLUME: dict[str, Callable[[VolumeFacts], float | None]] = {
    "num_slices": lambda facts: facts.num_slices,
    "slice_spacing_mm": lambda facts: facts.slice_spacing_mm,
    "extent_mm": lambda facts: facts.extent_mm,
}
_OF_SLICE: dict[str, Callable[[Dataset], tuple[str, ...]]] = {"plane": _plane_text, "b_value": _b_value_text}
