"""A region that somebody marked, as the one segment of its series."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from operators.dicom.study.character_sets import bytes_in, character_set_of
from operators.dicom.volumes.slice_masks import on_slices
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.geometry import Geometry
from operators.domain.prompt import PROMPTING, MarkedRegion
from operators.domain.reading import StudyReading
from operators.domain.segment import Segment, SeriesSegments
from operators.encoder.kept_features import kept_features
from operators.errors import InputError
from operators.heads.measurements import measure
from operators.study_run.deployment import Deployment
from operators.study_run.prompted_region import PromptedRegion, cut

SAME_PLACE_MM = 0.01


def mark_region(
    reading: StudyReading[SourceSeries], marked: MarkedRegion, features: Path, deployment: Deployment
) -> StudyReading[SourceSeries]:
    """The reading of the one series that the region lies in, with the region and what it measures.

    features : folder of those that the points were asked of

    Raises
    ------
    InputError
        Nothing is as alike as that, the features are of other images, or a name has letters that the study's results
        cannot carry.
    """
    found = cut(kept_features(features), marked.points, marked.threshold)
    if found is None:
        raise InputError(f"region: nothing at the points is as alike as {marked.threshold:.3f}; choose a lower cut")
    series = next((one for one in reading.current if one.source.series_instance_uid == found.series_instance_uid), None)
    if series is None:
        raise InputError(f"series {found.series_instance_uid}: no longer selected; have the study read again")
    source = series.source
    _check_letters(source, marked)
    mask = _whole_mask(found, source.volume.geometry)
    alone = replace(reading, current=(series,), prior=(), registrations=())
    tracking_uid = partial(deployment.identity(alone.sources, marked=marked).tracking_uid, source.series_instance_uid)
    segment = Segment(
        number=1,
        label=marked.name,
        category=marked.category,
        type=marked.type,
        head=PROMPTING,
        tracking_id=f"{PROMPTING}/{marked.name}",
        tracking_uid=tracking_uid(PROMPTING, marked.name),
        mask=mask,
        finding=marked.name,
        # Whoever wants probabilities gets what was chosen: all or nothing.
        probability=255 * mask.astype(np.uint8),
        is_prompted=True,
    )
    segments = SeriesSegments(source.series_instance_uid, source.volume.geometry, (segment,))
    of_series = replace(
        series, segments=segments, slice_segments=on_slices(segments, source), measurements=measure(segments)
    )
    return replace(alone, current=(of_series,))


def _whole_mask(found: PromptedRegion, geometry: Geometry) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """(D, H, W) on the volume's grid, which must be the one that was encoded."""
    stop = tuple(a + size for a, size in zip(found.start, found.mask.shape, strict=True))
    fits = all(b <= size for b, size in zip(stop, geometry.shape, strict=True))
    if not fits or not np.allclose(
        geometry.cropped(found.start, (stop[0], stop[1], stop[2])).affine, found.geometry.affine, atol=SAME_PLACE_MM
    ):
        raise InputError("features: of other images than the study has now; have the study read again")
    mask = np.zeros(geometry.shape, np.bool_)
    mask[tuple(slice(a, b) for a, b in zip(found.start, stop, strict=True))] = found.mask
    return mask


def _check_letters(source: SourceSeries, marked: MarkedRegion) -> None:
    for what, text in (("name", marked.name), ("person", marked.person)):
        if not text.isascii() and bytes_in(text, character_set_of(source.headers[0])) is None:
            raise InputError(f"{what}: it has letters that the study's character set lacks; write it with others")
