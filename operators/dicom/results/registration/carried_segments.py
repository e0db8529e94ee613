"""The prior's segments on today's grid: of anybody's Segmentation or RT Structure Set, codes and tracking UIDs kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from operators.dicom.results.uids import derive_uid
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import IMAGE_REGION, SPATIAL_CONCEPT, Code
from operators.domain.geometry import Geometry
from operators.domain.segment import Segment, SeriesSegments
from operators.domain.transform import Affine, DisplacementField
from operators.errors import UnsupportedPixelDataError

HEAD = "registration"
"""The name under which carried segments are told apart from what heads find."""
LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATIONS = (SegmentationStorage, LABEL_MAP_STORAGE)
STRIDE = 8
"""Every so many voxels along each axis are asked first whether they lie near the segment."""


@dataclass(frozen=True, slots=True, eq=False)
class PriorSegment:
    """A segment as the prior's object has it.

    mask : (D, H, W) bool on *geometry*, in the prior's frame
    """

    label: str
    category: Code
    type: Code
    tracking_id: str
    tracking_uid: str
    mask: NDArray[np.bool_]
    geometry: Geometry


def read_prior_segments(dataset: Dataset, prior: SourceSeries) -> tuple[PriorSegment, ...]:
    """Every non-empty segment of a Segmentation or RT Structure Set.

    prior : the series that the object lies on; contours are filled on its grid

    Raises
    ------
    UnsupportedPixelDataError
        The object is of another kind, or its frames lie on no regular grid.
    """
    if dataset.SOPClassUID in SEGMENTATIONS:
        found = _of_segmentation(dataset)
    elif dataset.SOPClassUID == RTStructureSetStorage:
        found = _of_structure_set(dataset, prior)
    else:
        raise UnsupportedPixelDataError(
            f"object of SOP class {dataset.SOPClassUID}: expected a Segmentation or an RT Structure Set"
        )
    return tuple(segment for segment in found if segment.mask.any())


def carry_segments(
    segments: Sequence[PriorSegment], transform: Affine | DisplacementField, today: SourceSeries
) -> SeriesSegments:
    """The segments where the registration says that their tissue lies today; those outside today's grid are left out.

    transform : today to the prior
    """
    grid = today.volume.geometry
    masks = [(segment, carried_mask(segment.mask, segment.geometry, transform, grid)) for segment in segments]
    shown = [(segment, mask) for segment, mask in masks if mask.any()]
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


def carried_mask(
    mask: NDArray[np.bool_], geometry: Geometry, transform: Affine | DisplacementField, target: Geometry
) -> NDArray[np.bool_]:
    """(D, H, W) on the target: whether half of what is interpolated there is the segment.

    geometry : of the mask, in the frame that the transform leads to
    """
    carried = np.zeros(target.shape, np.bool_)
    box = _near_box(mask, geometry, transform, target)
    if box is None:
        return carried
    for index in range(box[0].start, box[0].stop):
        rows, columns = np.mgrid[box[1], box[2]]
        indices = np.stack([np.full(rows.shape, index), rows, columns], axis=-1)
        there = geometry.indices(transform.moving_positions(target.positions(indices)))
        carried[index, box[1], box[2]] = _share_of(mask, there) >= 0.5
    return carried


def _near_box(
    mask: NDArray[np.bool_], geometry: Geometry, transform: Affine | DisplacementField, target: Geometry
) -> tuple[slice, slice, slice] | None:
    """The part of the target that may show the mask, by a look at every few voxels."""
    axes = [np.unique(np.append(np.arange(0, size, STRIDE), size - 1)) for size in target.shape]
    indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    there = geometry.indices(transform.moving_positions(target.positions(indices)))
    found = np.argwhere(mask)
    # As far as two looks lie apart, and once more for what the transform stretches.
    reach = 2 * STRIDE * float(target.spacing.max()) / geometry.spacing + 1
    low, high = found.min(axis=0) - reach, found.max(axis=0) + reach
    near = np.asarray(((there >= low) & (there <= high)).all(axis=-1))
    if not near.any():
        return None
    sides = []
    for axis in range(3):
        places = axes[axis][np.unique(np.nonzero(near)[axis])]
        sides.append(slice(max(int(places[0]) - STRIDE, 0), min(int(places[-1]) + STRIDE + 1, target.shape[axis])))
    return sides[0], sides[1], sides[2]


def _share_of(mask: NDArray[np.bool_], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trilinear value of the mask at (..., 3) indices, nothing beyond half a voxel around it."""
    inside = ((places >= -0.5) & (places <= np.array(mask.shape) - 0.5)).all(axis=-1)
    last = np.array(mask.shape) - 1
    places = np.clip(places, 0, last)
    corner = np.minimum(places.astype(np.intp), np.maximum(last - 1, 0))
    share = places - corner
    total = np.zeros(places.shape[:-1])
    for offset in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(offset, share, 1 - share), axis=-1)
        at = np.minimum(corner + offset, last)
        total += weight * mask[at[..., 0], at[..., 1], at[..., 2]]
    return total * inside


def _of_segmentation(dataset: Dataset) -> Iterator[PriorSegment]:
    segmentation = hd.seg.Segmentation.from_dataset(dataset)
    for item in dataset.SegmentSequence:
        number = int(item.SegmentNumber)
        if number == 0:  # a label map's background
            continue
        try:
            volume = segmentation.get_volume(segment_numbers=[number], combine_segments=False, rescale_fractional=True)
        except (ValueError, RuntimeError) as error:
            raise UnsupportedPixelDataError(
                f"segmentation {dataset.SOPInstanceUID}: its frames lie on no regular grid"
            ) from error
        array = np.asarray(volume.array)
        mask = (array[..., 0] if array.ndim == 4 else array) >= 0.5
        shape = (mask.shape[0], mask.shape[1], mask.shape[2])
        yield PriorSegment(
            label=str(item.SegmentLabel),
            category=_code(item.SegmentedPropertyCategoryCodeSequence[0]),
            type=_code(item.SegmentedPropertyTypeCodeSequence[0]),
            tracking_id=str(item.get("TrackingID") or item.SegmentLabel),
            tracking_uid=str(item.get("TrackingUID") or derive_uid("tracking", dataset.SOPInstanceUID, str(number))),
            mask=mask,
            geometry=Geometry(np.asarray(volume.affine, np.float64), shape, str(volume.frame_of_reference_uid or "")),
        )


def _of_structure_set(dataset: Dataset, prior: SourceSeries) -> Iterator[PriorSegment]:
    names = {int(roi.ROINumber): str(roi.get("ROIName") or "") for roi in dataset.StructureSetROISequence}
    codes = {
        int(item.ReferencedROINumber): _code(item.RTROIIdentificationCodeSequence[0])
        for item in dataset.get("RTROIObservationsSequence", ())
        if item.get("RTROIIdentificationCodeSequence")
    }
    for roi in dataset.get("ROIContourSequence", ()):
        number = int(roi.ReferencedROINumber)
        label = names.get(number) or f"ROI {number}"
        yield PriorSegment(
            label=label,
            category=SPATIAL_CONCEPT,
            type=codes.get(number, IMAGE_REGION),
            tracking_id=label,
            tracking_uid=derive_uid("tracking", dataset.SOPInstanceUID, str(number)),
            mask=_filled(roi.get("ContourSequence", ()), prior.volume.geometry),
            geometry=prior.volume.geometry,
        )


def _filled(contours: Sequence[Dataset], geometry: Geometry) -> NDArray[np.bool_]:
    """Closed planar contours filled on the slices they lie on; one within another is a hole (PS3.3 C.8.8.6.3)."""
    mask = np.zeros(geometry.shape, np.bool_)
    for contour in contours:
        if contour.ContourGeometricType not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
            continue
        places = geometry.indices(np.array(contour.ContourData, np.float64).reshape(-1, 3))
        index = round(float(places[:, 0].mean()))
        if 0 <= index < geometry.shape[0] and np.abs(places[:, 0] - index).max() < 0.5:
            mask[index] ^= _polygon(places[:, 1:], geometry.shape[1:])
    return mask


def _polygon(corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) pixels whose middles lie within: an odd number of edges to their left."""
    crossings = np.zeros((shape[0], shape[1] + 1), np.intp)
    rows = np.arange(shape[0])
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crossed = rows[(rows >= min(start[0], end[0])) & (rows < max(start[0], end[0]))]
        at = start[1] + (crossed - start[0]) * (end[1] - start[1]) / (end[0] - start[0] or 1.0)
        np.add.at(crossings, (crossed, np.clip(np.ceil(at), 0, shape[1]).astype(np.intp)), 1)
    return np.asarray(np.cumsum(crossings[:, :-1], axis=1) % 2 == 1)


def _code(item: Dataset) -> Code:
    return Code(
        str(item.get("CodeValue") or item.get("LongCodeValue")), str(item.CodingSchemeDesignator), str(item.CodeMeaning)
    )
