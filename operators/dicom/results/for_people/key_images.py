"""The slices that show what was found, for those who want to see it at a glance."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.dicom.results.contour import outline
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Finding, Localisation
from operators.domain.reading import StudyReading


@dataclass(frozen=True, slots=True, eq=False)
class KeyImage:
    """A slice and the place of one present finding on it.

    slice_index : of the source's slices
    point : (column, row) of the finding, (0, 0) the top left corner of the top left pixel
    outline : (N, 2) likewise, closed; None where no mask shows on the slice
    """

    source: SourceSeries
    finding: Finding
    slice_index: int
    point: tuple[float, float]
    outline: NDArray[np.float64] | None


def key_images(reading: StudyReading[SourceSeries]) -> tuple[KeyImage, ...]:
    """One for each present finding that has a place, in the order of the findings."""
    by_series = {source.series_instance_uid: source for source in reading.sources}
    masks = {segment.tracking_uid: segment.mask for series in reading.slice_segments for segment in series.segments}
    return tuple(
        _key_image(by_series[finding.series_instance_uid], finding, place, masks.get(place.tracking_uid))
        for finding, place in _localised(reading.findings)
    )


def _localised(findings: Iterable[Finding]) -> Iterator[tuple[Finding, Localisation]]:
    for finding in findings:
        if finding.present and finding.localisation:
            yield finding, finding.localisation


def _key_image(source: SourceSeries, finding: Finding, place: Localisation, mask: NDArray[np.bool_] | None) -> KeyImage:
    # By the point and not by the instance, which holds every slice of a multi-frame source.
    index, row, column = source.on_nearest_slice(np.array(place.point_lps_mm))
    shown = outline(mask[index]) if mask is not None and mask[index].any() else None
    return KeyImage(source, finding, index, (column + 0.5, row + 0.5), shown)
