"""Masks on the source grid: organs, and where the present findings lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.domain.features import FeatureVolume
from operators.domain.finding import Finding, Localisation, Segment, SeriesSegments
from operators.domain.geometry import Geometry
from operators.heads.evidence import above, probability
from operators.heads.measurements import volume_ml
from operators.heads.readout import FindingsReadout, out_of_scope
from operators.heads.records import Label
from operators.model.model_folder import Heads


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """A mask before it gets its number."""

    label: Label
    head: str
    mask: NDArray[np.bool_]
    finding: str | None
    probability: NDArray[np.uint8] | None = None


def predict_segments(
    features: FeatureVolume,
    readout: FindingsReadout,
    heads: Heads,
    *,
    source: Geometry,
    modality: str,
    series_instance_uid: str,
    tracking_uid: Callable[[str, str], str],
    with_probabilities: bool = False,
) -> SeriesSegments:
    """Masks on the source grid, anatomy first, then present findings; empty ones are left out.

    tracking_uid : gives the UID for a head's name and a label, the same one each time
    with_probabilities : keep each voxel's probability beside the masks, which takes as much memory again
    """
    regions = [
        *_organs(features, readout, heads, source=source, modality=modality, with_probabilities=with_probabilities),
        *_findings(readout, heads, source=source, with_probabilities=with_probabilities),
    ]
    found = (region for region in regions if region.mask.any())
    segments = tuple(_segment(region, number, tracking_uid) for number, region in enumerate(found, start=1))
    return SeriesSegments(series_instance_uid, source, segments)


def localise(
    findings: tuple[Finding, ...], segments: SeriesSegments, sop_instance_uids: tuple[str, ...]
) -> tuple[Finding, ...]:
    """The findings of this series with their place, where a mask shows it.

    sop_instance_uids : one for each slice of the segments' grid, in its order
    """
    if len(sop_instance_uids) != segments.geometry.shape[0]:
        raise ValueError(
            f"sop_instance_uids: expected one for each of {segments.geometry.shape[0]} slices, "
            f"got {len(sop_instance_uids)}"
        )
    by_finding = {segment.finding: segment for segment in segments.segments if segment.finding is not None}
    return tuple(
        replace(finding, localisation=_localisation(by_finding[finding.name], segments.geometry, sop_instance_uids))
        if finding.series_instance_uid == segments.series_instance_uid and finding.name in by_finding
        else finding
        for finding in findings
    )


def without_specks(mask: NDArray[np.bool_], minimum_volume_ml: float, geometry: Geometry) -> NDArray[np.bool_]:
    """The mask without connected components (by faces) under a volume."""
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    keep = sizes * geometry.voxel_volume_ml >= minimum_volume_ml
    keep[0] = False
    return np.asarray(keep[components])


def _organs(
    features: FeatureVolume,
    readout: FindingsReadout,
    heads: Heads,
    *,
    source: Geometry,
    modality: str,
    with_probabilities: bool,
) -> Iterator[_Region]:
    for head in heads.segmentations:
        if out_of_scope(head.record, modality=modality, regions=readout.regions) is not None:
            continue
        label_map = head.label_map(features, source)
        of_labels = head.probabilities(features, source) if with_probabilities else (None,) * len(head.labels)
        for number, (label, of_label) in enumerate(zip(head.labels, of_labels, strict=True), start=1):
            mask = without_specks(label_map == number, head.record.minimum_volume_ml, source)
            yield _Region(label, head.record.name, mask, None, of_label)


def _findings(
    readout: FindingsReadout, heads: Heads, *, source: Geometry, with_probabilities: bool
) -> Iterator[_Region]:
    present = {(finding.name, finding.head) for finding in readout.findings if finding.present}
    for head in heads.findings:
        if (head.label.name, head.record.name) in present:
            evidence = readout.evidence[head.label.name]
            mask = above(evidence, head.record.mask_threshold, source)
            mask = without_specks(mask, head.record.minimum_volume_ml, source)
            of_finding = probability(evidence, source) if with_probabilities else None
            yield _Region(head.label, head.record.name, mask, head.label.name, of_finding)


def _segment(region: _Region, number: int, tracking_uid: Callable[[str, str], str]) -> Segment:
    assert region.label.category is not None, "read_model lets no such label through"
    return Segment(
        number=number,
        label=region.label.name,
        category=region.label.category,
        type=region.label.code,
        head=region.head,
        tracking_id=f"{region.head}/{region.label.name}",
        tracking_uid=tracking_uid(region.head, region.label.name),
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
