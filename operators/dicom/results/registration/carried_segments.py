"""The prior's segments on today's grid, codes and tracking UIDs kept."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from scipy import ndimage

from operators.dicom.study.character_sets import bytes_in, character_set_of, is_defined
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.bounding_box import bounding_box
from operators.domain.concepts import Code
from operators.domain.geometry import Geometry
from operators.domain.segment import PriorSegment, Segment, SeriesSegments
from operators.domain.transform import Affine, DisplacementField

HEAD = "registration"
"""The name under which carried segments are told apart from what heads find."""
STRIDE = 8
"""Every so many voxels along each axis are asked first whether they lie near the segment."""

Box = tuple[slice, slice, slice]


def carry_segments(
    segments: Sequence[PriorSegment], transform: Affine | DisplacementField, today: SourceSeries
) -> SeriesSegments:
    """The segments where the registration says that their tissue lies today; those outside today's grid are left out.

    transform : today to the prior
    """
    grid = today.volume.geometry
    shown = [
        (segment, mask)
        for segment, mask in zip(segments, carried_masks(segments, transform, grid), strict=True)
        if mask.any()
    ]
    return SeriesSegments(
        today.series_instance_uid,
        grid,
        tuple(
            Segment(
                number=number,
                label=segment.label,
                category=segment.category,
                type=segment.type,
                head=HEAD,
                tracking_id=segment.tracking_id,
                tracking_uid=segment.tracking_uid,
                mask=mask,
            )
            for number, (segment, mask) in enumerate(shown, start=1)
        ),
    )


def carried_masks(
    segments: Sequence[PriorSegment], transform: Affine | DisplacementField, target: Geometry
) -> tuple[NDArray[np.bool_], ...]:
    """(D, H, W) of each on the target: whether half of what is interpolated there is the segment."""
    masks = tuple(np.zeros(target.shape, np.bool_) for _ in segments)
    boxes = _near_boxes(segments, transform, target)
    sources = [np.asarray(segment.mask, np.float32) for segment in segments]
    for index in range(target.shape[0]):
        here = [k for k, box in enumerate(boxes) if box is not None and box[0].start <= index < box[0].stop]
        if not here:
            continue
        rows, columns = (_hull([box[axis] for k in here if (box := boxes[k])]) for axis in (1, 2))
        row, column = np.mgrid[rows, columns]
        places = transform.moving_positions(target.positions(np.stack([np.full(row.shape, index), row, column], -1)))
        for k in here:
            box = boxes[k]
            assert box is not None, "boxes of None are left out above"
            part = tuple(
                slice(side.start - hull.start, side.stop - hull.start)
                for side, hull in ((box[1], rows), (box[2], columns))
            )
            there = np.moveaxis(segments[k].geometry.indices(places[part]), -1, 0)
            masks[k][index, box[1], box[2]] = _share_of(sources[k], there) >= 0.5
    return masks


def fitting(segments: Sequence[PriorSegment], header: Dataset) -> tuple[PriorSegment, ...]:
    """With words that the character set of a study's results can hold; a letter that it lacks becomes a question mark.

    header : that the results take their character set from
    """
    terms = character_set_of(header)
    terms = terms if is_defined(terms) else ()

    def held(text: str) -> str:
        return text if bytes_in(text, terms) is not None else text.encode("ascii", "replace").decode("ascii")

    def held_code(code: Code) -> Code:
        return replace(code, meaning=held(code.meaning))

    return tuple(
        replace(
            segment,
            label=held(segment.label),
            tracking_id=held(segment.tracking_id),
            category=held_code(segment.category),
            type=held_code(segment.type),
        )
        for segment in segments
    )


def _near_boxes(
    segments: Sequence[PriorSegment], transform: Affine | DisplacementField, target: Geometry
) -> list[Box | None]:
    """For each the part of the target that may show it, by a look at every few voxels; None where none does."""
    axes = [np.unique(np.append(np.arange(0, size, STRIDE), size - 1)) for size in target.shape]
    looks = transform.moving_positions(target.positions(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)))
    return [_near_box(segment, looks, axes, target) for segment in segments]


def _near_box(
    segment: PriorSegment, looks: NDArray[np.float64], axes: Sequence[NDArray[np.intp]], target: Geometry
) -> Box | None:
    filled = bounding_box(segment.mask)
    # As far as two looks lie apart, and once more for what the transform stretches.
    reach = 2 * STRIDE * float(target.spacing.max()) / segment.geometry.spacing + 1
    low = np.array([side.start for side in filled]) - reach
    high = np.array([side.stop - 1 for side in filled]) + reach
    there = segment.geometry.indices(looks)
    near = np.asarray(((there >= low) & (there <= high)).all(axis=-1))
    if not near.any():
        return None
    sides = []
    for axis in range(3):
        places = axes[axis][np.unique(np.nonzero(near)[axis])]
        sides.append(slice(max(int(places[0]) - STRIDE, 0), min(int(places[-1]) + STRIDE + 1, target.shape[axis])))
    return sides[0], sides[1], sides[2]


def _hull(sides: Sequence[slice]) -> slice:
    return slice(min(side.start for side in sides), max(side.stop for side in sides))


def _share_of(mask: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Trilinear value of the mask at (3, ...) indices, nothing beyond half a voxel around it."""
    last = np.array(mask.shape)[:, None, None] - 1
    inside = ((places >= -0.5) & (places <= last + 0.5)).all(axis=0)
    found = ndimage.map_coordinates(mask, places, output=np.float32, order=1, mode="nearest", prefilter=False)
    return np.where(inside, found, np.float32(0))
