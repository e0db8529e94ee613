"""A region of the current study, cut out of what looks like the places that somebody points at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.geometry import Geometry
from operators.domain.prompt import PromptPoint
from operators.encoder.kept_features import KeptSeries
from operators.encoder.similarity import similarity_maps, token_index
from operators.errors import InputError
from operators.heads.measurements import longest_diameter_mm, slice_axes_mm, volume_ml
from operators.heads.prompted_region import region_at


@dataclass(frozen=True, slots=True, eq=False)
class PromptedRegion:
    """A region in the smallest box of its series' voxels that holds it.

    start : index of the box's first voxel in the series' volume
    mask : (d, h, w) bool, of the box
    geometry : of the box
    """

    series_instance_uid: str
    start: tuple[int, int, int]
    mask: NDArray[np.bool_]
    geometry: Geometry

    @property
    def volume_ml(self) -> float:
        return volume_ml(self.mask, self.geometry)

    @property
    def axes_mm(self) -> tuple[float, float]:
        """Long and short axis on the slice with most of the region."""
        fullest = int(np.argmax(self.mask.sum(axis=(1, 2))))
        return slice_axes_mm(self.mask[fullest], self.geometry.spacing[1:])

    @property
    def longest_diameter_mm(self) -> float:
        return longest_diameter_mm(self.mask, self.geometry)


def cut(kept: Sequence[KeptSeries], points: Sequence[PromptPoint], threshold: float) -> PromptedRegion | None:
    """What hangs together with the positive points of the current study; None where it is less like them than that.

    It lies in the series of the first of them.

    Raises
    ------
    InputError
        No positive point lies in a series of the current study, or see `similarity_maps`.
    """
    current = {series.series_instance_uid: series for series in kept if not series.is_prior}
    seeds = [point for point in points if point.label == 1 and point.series_instance_uid in current]
    if not seeds:
        raise InputError("points: expected at least one with the label 1 in the current study, got none")
    series = current[seeds[0].series_instance_uid]
    maps = dict(zip((one.series_instance_uid for one in kept), similarity_maps(kept, points), strict=True))
    own = [token_index(series, seed) for seed in seeds if seed.series_instance_uid == series.series_instance_uid]
    found = region_at(maps[series.series_instance_uid], threshold, own, series.source)
    if found is None:
        return None
    start, mask = found
    stop = (start[0] + mask.shape[0], start[1] + mask.shape[1], start[2] + mask.shape[2])
    return PromptedRegion(series.series_instance_uid, start, mask, series.source.cropped(start, stop))
