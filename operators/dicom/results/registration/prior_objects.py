"""What objects of an earlier study outline on one of its series: anybody's Segmentation or RT Structure Set."""

from collections.abc import Iterable, Iterator, Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from operators.dicom.results.carried import is_carried
from operators.dicom.results.codes import code_of
from operators.dicom.results.uids import derive_uid
from operators.dicom.study.header_values import UNREADABLE, is_uid, text_of
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.bounding_box import bounding_box
from operators.domain.concepts import IMAGE_REGION, SPATIAL_CONCEPT, Code
from operators.domain.geometry import Geometry
from operators.domain.segment import PriorSegment
from operators.errors import UnsupportedPixelDataError

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
OUTLINE_CLASSES = frozenset({SegmentationStorage, LABEL_MAP_STORAGE, RTStructureSetStorage})
LONGEST_LABEL = 64
"""LO (PS3.5 6.2)."""
_BROKEN = (*UNREADABLE, AttributeError, LookupError, RuntimeError, TypeError, OSError)
_SERIES_REFERENCES = (
    # of a Segmentation; of an RT Structure Set
    ("ReferencedSeriesSequence",),
    ("ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence", "RTReferencedSeriesSequence"),
)


def lies_on(header: Dataset, prior: SourceSeries) -> bool:
    """Whether an object outlines something on this series: it names the series, or none and shares its frame."""
    named = {text_of(item, "SeriesInstanceUID") for path in _SERIES_REFERENCES for item in _items(header, path)} - {""}
    if named:
        return prior.series_instance_uid in named
    frame = prior.volume.geometry.frame_of_reference_uid
    own = {text_of(header, "FrameOfReferenceUID")} | {
        text_of(item, "FrameOfReferenceUID") for item in header.get("ReferencedFrameOfReferenceSequence") or ()
    }
    return frame != "" and frame in own


def read_prior_segments(dataset: Dataset, prior: SourceSeries) -> tuple[PriorSegment, ...]:
    """Every non-empty segment of a Segmentation or RT Structure Set.

    What we ourselves carried there from a still earlier study is left out: that study tells it.

    prior : the series that the object lies on; contours are filled on its grid

    Raises
    ------
    UnsupportedPixelDataError
        The object is of another kind, cannot be read, or its frames lie on no regular grid.
    """
    if dataset.get("SOPClassUID") not in OUTLINE_CLASSES:
        raise UnsupportedPixelDataError(
            f"object of SOP class {dataset.get('SOPClassUID')}: expected a Segmentation or an RT Structure Set"
        )
    is_contours = dataset.SOPClassUID == RTStructureSetStorage
    try:
        found = list(_of_structure_set(dataset, prior) if is_contours else _of_segmentation(dataset))
    except _BROKEN as error:
        raise UnsupportedPixelDataError(
            f"object {dataset.get('SOPInstanceUID')}: its segments cannot be read ({type(error).__name__}); "
            "expected frames on a regular grid, or closed contours"
        ) from error
    return tuple(segment for segment in found if segment.mask.any())


def _items(header: Dataset, path: Sequence[str]) -> Iterator[Dataset]:
    keyword, *rest = path
    for item in header.get(keyword) or ():
        if rest:
            yield from _items(item, rest)
        else:
            yield item


def _of_segmentation(dataset: Dataset) -> Iterator[PriorSegment]:
    segmentation = hd.seg.Segmentation.from_dataset(dataset, copy=False)
    for item in dataset.SegmentSequence:
        number = int(item.SegmentNumber)
        if number == 0 or is_carried(item):  # a label map's background
            continue
        volume = segmentation.get_volume(segment_numbers=[number], combine_segments=False, rescale_fractional=True)
        array = np.asarray(volume.array)
        mask = (array[..., 0] if array.ndim == 4 else array) >= 0.5
        if not mask.any():
            continue
        frame = str(volume.frame_of_reference_uid or "")
        grid = Geometry(np.asarray(volume.affine, np.float64), (mask.shape[0], mask.shape[1], mask.shape[2]), frame)
        label = _label(item.get("SegmentLabel"), f"segment {number}")
        mask, grid = _cropped(mask, grid)
        yield PriorSegment(
            label=label,
            category=_code(item.SegmentedPropertyCategoryCodeSequence),
            type=_code(item.SegmentedPropertyTypeCodeSequence),
            tracking_id=_label(item.get("TrackingID"), label),
            tracking_uid=_tracking_uid(dataset, number, str(item.get("TrackingUID") or "")),
            mask=mask,
            geometry=grid,
        )


def _of_structure_set(dataset: Dataset, prior: SourceSeries) -> Iterator[PriorSegment]:
    names = {int(roi.ROINumber): roi.get("ROIName") for roi in dataset.StructureSetROISequence}
    codes = {
        int(item.ReferencedROINumber): _code(item.RTROIIdentificationCodeSequence)
        for item in dataset.get("RTROIObservationsSequence") or ()
        if item.get("RTROIIdentificationCodeSequence")
    }
    for roi in dataset.get("ROIContourSequence") or ():
        number = int(roi.ReferencedROINumber)
        label = _label(names.get(number), f"ROI {number}")
        mask = _filled(roi.get("ContourSequence") or (), prior.volume.geometry)
        if not mask.any():
            continue
        mask, grid = _cropped(mask, prior.volume.geometry)
        yield PriorSegment(
            label=label,
            category=SPATIAL_CONCEPT,
            type=codes.get(number, IMAGE_REGION),
            tracking_id=label,
            tracking_uid=_tracking_uid(dataset, number, ""),
            mask=mask,
            geometry=grid,
        )


def _cropped(mask: NDArray[np.bool_], geometry: Geometry) -> tuple[NDArray[np.bool_], Geometry]:
    """What is marked, with a voxel round it: a hundred masks of a study's size would fill the memory."""
    depth, rows, columns = bounding_box(mask, margin=1)
    start, stop = (depth.start, rows.start, columns.start), (depth.stop, rows.stop, columns.stop)
    return mask[depth, rows, columns].copy(), geometry.cropped(start, stop)


def _filled(contours: Iterable[Dataset], geometry: Geometry) -> NDArray[np.bool_]:
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


def _code(items: Sequence[Dataset]) -> Code:
    found = code_of(items[0])
    if found is None:
        raise ValueError("a code lacks its value, scheme or meaning")
    return found


def _label(given: object, otherwise: str) -> str:
    """As one value of a Segment Label can be."""
    text = "".join(letter for letter in str(given or "") if letter.isprintable() and letter != "\\").strip()
    return text[:LONGEST_LABEL] or otherwise


def _tracking_uid(dataset: Dataset, number: int, given: str) -> str:
    return given if is_uid(given) else derive_uid("tracking", str(dataset.SOPInstanceUID), str(number))
