"""Numbered segments on the source grid, and the place of each finding in them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from operators.domain.finding import Finding, Localisation
from operators.domain.geometry import Geometry
from operators.domain.segment import Segment, SeriesSegments
from operators.heads.masks import Masks, Region
from operators.heads.measurements import volume_ml


def predict_segments(
    drawn: Iterable[Masks],
    *,
    source: Geometry,
    series_instance_uid: str,
    tracking_uid: Callable[[str, str], str],
    with_probabilities: bool = False,
) -> SeriesSegments:
    """Numbered masks on the source grid, in their order; empty ones are left out.

    tracking_uid : gives the UID for a head's name and a label, the same one each time
    with_probabilities : keep each voxel's probability beside the masks, which takes as much memory again
    """
    segments: list[Segment] = []
    places: dict[tuple[str, str], int] = {}
    for masks in drawn:
        for region in masks.regions(source, with_probabilities=with_probabilities):
            if region.mask.any():
                key = (region.head, region.label.name)
                places[key] = places.get(key, 0) + 1
                segments.append(_segment(region, len(segments) + 1, places[key], tracking_uid))
    return SeriesSegments(series_instance_uid, source, tuple(segments))


def localise(
    findings: tuple[Finding, ...],
    segments: SeriesSegments,
    sop_instance_uids: tuple[str, ...],
    *,
    points: Mapping[str, tuple[float, float, float]],
    tracking_uid: Callable[[str, str], str],
) -> tuple[Finding, ...]:
    """The findings of this series with their place: in a mask, of several the first, or at the point that decided.

    sop_instance_uids : one for each slice of the segments' grid, in its order
    points : LPS mm by finding, see `operators.heads.head.HeadAnswer`
    tracking_uid : see `predict_segments`
    """
    if len(sop_instance_uids) != segments.geometry.shape[0]:
        raise ValueError(
            f"sop_instance_uids: expected one for each of {segments.geometry.shape[0]} slices, "
            f"got {len(sop_instance_uids)}"
        )
    by_finding = {segment.finding: segment for segment in reversed(segments.segments) if segment.finding is not None}

    def place(finding: Finding) -> Localisation | None:
        if finding.series_instance_uid != segments.series_instance_uid:
            return finding.localisation
        if finding.name in by_finding:
            return _localisation(by_finding[finding.name], segments.geometry, sop_instance_uids)
        if finding.name not in points:
            return None
        point = points[finding.name]
        nearest = round(float(segments.geometry.indices(np.array(point))[0]))
        sop_instance_uid = sop_instance_uids[min(max(nearest, 0), len(sop_instance_uids) - 1)]
        return Localisation(None, sop_instance_uid, point, tracking_uid(finding.head, finding.name), None)

    return tuple(replace(finding, localisation=place(finding)) for finding in findings)


def _segment(region: Region, number: int, place: int, tracking_uid: Callable[[str, str], str]) -> Segment:
    """place : counts the regions of one label"""
    assert region.label.category is not None, "segment_labels lets no such label through"
    tracked = region.label.name if place == 1 else f"{region.label.name} {place}"
    return Segment(
        number=number,
        label=tracked,
        category=region.label.category,
        type=region.label.code,
        head=region.head,
        tracking_id=f"{region.head}/{tracked}",
        tracking_uid=tracking_uid(region.head, tracked),
        mask=region.mask,
        finding=region.finding,
        probability=region.probability,
    )


def _localisation(segment: Segment, geometry: Geometry, sop_instance_uids: tuple[str, ...]) -> Localisation:
    """The slice with the largest area, and the mask's voxel nearest to the middle of that area."""
    best = segment.key_slice
    inside = np.argwhere(segment.mask[best])
    nearest = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))]
    x, y, z = geometry.positions(np.array([best, *nearest]))
    return Localisation(
        segment_number=segment.number,
        sop_instance_uid=sop_instance_uids[best],
        point_lps_mm=(float(x), float(y), float(z)),
        tracking_uid=segment.tracking_uid,
        volume_ml=volume_ml(segment.mask, geometry),
    )
