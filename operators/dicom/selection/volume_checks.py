"""What makes a volume unsafe or impossible to read, told from its headers before any pixel is touched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from operators.dicom.pixels.pixel_format import read_pixel_format
from operators.dicom.study.header_values import (
    is_uid,
    is_unreadable,
    number_of,
    numbers_of,
    text_of,
    value_of,
    values_of,
)
from operators.dicom.study.read_limits import DEFAULT_LIMITS, ReadLimits
from operators.dicom.volumes.slice_layout import lay_out, sparseness
from operators.dicom.volumes.slice_stack import stack_slices, without_duplicates
from operators.dicom.volumes.slices import VolumeCandidate
from operators.errors import CuriaError, ResourceError, SeriesGeometryError, UnsupportedPixelDataError

MAX_PIXEL_SPACING_MM = 50.0
"""No CT or MR pixel is larger; a header that says so means another unit or is broken."""

_IMAGE_CLASSES = {
    "CT": {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage},
    "MR": {MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage},
}
_NUMBERS_NEEDED = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
_MUST_BE_NUMBERS = (
    *_NUMBERS_NEEDED,
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "NumberOfFrames",
    "RescaleSlope",
    "RescaleIntercept",
)
"""A wrong one of these would give wrong voxels, so one that cannot be read must not pass for a missing one."""


INTERPOLATED_POINTS = -2.0
REPEATED_POINTS = -2.0
SPARSE_POINTS = -1.0


@dataclass(frozen=True, slots=True)
class Soundness:
    """What the headers promise about reading a volume.

    complaints : reasons against reading it, in plain words and numbers
    drawbacks : what makes it a worse choice than another, with points
    """

    complaints: tuple[str, ...] = ()
    drawbacks: tuple[tuple[str, float], ...] = ()


def check_volume(volume: VolumeCandidate, limits: ReadLimits = DEFAULT_LIMITS) -> Soundness:
    """Every objection that headers give, not the first one only; the grid where all slices have a place."""
    complaints = (
        *(complaint for check in _CHECKS for complaint in check(volume)),
        *_plausible_pixels(volume, limits),
    )
    if _without_numbers(volume):
        return Soundness(complaints)
    grid = _check_grid(volume, limits)
    return Soundness((*complaints, *(new for new in grid.complaints if new not in complaints)), grid.drawbacks)


def _check_grid(volume: VolumeCandidate, limits: ReadLimits) -> Soundness:
    """What the volume reader will make of the slices' positions."""
    header = volume.slices[0].header
    rows, columns = (max(int(number_of(header, keyword) or 0), 1) for keyword in ("Rows", "Columns"))
    try:
        # Whether slices at one position are equal takes their pixels, which the volume reader compares.
        stack, repeated = without_duplicates(stack_slices(volume), lambda one, other: True)
        limits.check_count(len(volume.slices), stack.name)
        layout = lay_out(stack, rows=rows, columns=columns, frame_of_reference_uid="")
        limits.check_size(layout.geometry.shape, stack.name)
    except (SeriesGeometryError, UnsupportedPixelDataError, ResourceError) as error:
        return Soundness((_message(error),))
    drawbacks = []
    if layout.is_resampled:
        drawbacks.append(("tilted or uneven, to be interpolated", INTERPOLATED_POINTS))
    if repeated:
        count = len(volume.slices) - len(stack.slices)
        drawbacks.append((f"{count} slices at positions that others have", REPEATED_POINTS))
    if sparse := sparseness(stack):
        drawbacks.append((sparse, SPARSE_POINTS))
    return Soundness((), tuple(drawbacks))


def _message(error: CuriaError) -> str:
    """Without the name of the series, which stands beside every reason already."""
    return str(error).partition(": ")[2]


def _headers(volume: VolumeCandidate) -> list[Dataset]:
    return [plane.header for plane in volume.slices]


def _image_objects(volume: VolumeCandidate) -> Iterator[str]:
    classes = [text_of(header, "SOPClassUID") for header in _headers(volume)]
    others = sum(one not in _IMAGE_CLASSES.get(volume.modality, ()) for one in classes)
    if others:
        yield f"{others} of {len(classes)} slices are no {volume.modality} images by their SOPClassUID"


def _identified(volume: VolumeCandidate) -> Iterator[str]:
    instances = {plane.instance.path: plane.header for plane in volume.slices}.values()
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
        nameless = sum(not is_uid(text_of(header, keyword)) for header in instances)
        if nameless:
            yield f"{nameless} of {len(instances)} instances without a valid {keyword}, results could not refer to them"


def _one_source(volume: VolumeCandidate) -> Iterator[str]:
    headers = _headers(volume)
    for keyword in ("PatientID", "IssuerOfPatientID", "StudyInstanceUID"):
        different = len({text_of(header, keyword) for header in headers})
        if different > 1:
            yield f"{different} different values of {keyword} in one volume, expected one"
    frames = len({text_of(header, "FrameOfReferenceUID") for header in headers})
    # Where every slice has one of its own, de-identification did it (LIDC-IDRI); the volume reader knows.
    if 1 < frames < len(headers):
        yield f"{frames} frames of reference in one volume, expected one"


def _with_pixels(volume: VolumeCandidate) -> Iterator[str]:
    empty = sum(not plane.instance.has_pixel_data for plane in volume.slices)
    if empty:
        yield f"{empty} of {len(volume.slices)} slices without pixel data"


def _readable(volume: VolumeCandidate) -> Iterator[str]:
    for keyword in _MUST_BE_NUMBERS:
        bad = sum(_is_no_number(header, keyword) for header in _headers(volume))
        if bad:
            yield f"{keyword} cannot be read in {bad} of {len(volume.slices)} slices"


def _is_no_number(header: Dataset, keyword: str) -> bool:
    # pydicom reads a decimal string that is no number as other text rather than refuse it.
    return is_unreadable(header, keyword) or bool(values_of(header, keyword) and not numbers_of(header, keyword))


def _placed(volume: VolumeCandidate) -> Iterator[str]:
    headers = _headers(volume)
    for keyword, count in _without_numbers(volume).items():
        yield f"{count} of {len(headers)} slices without a usable {keyword}, nothing tells where their pixels lie"
    frameless = sum(not is_uid(text_of(header, "FrameOfReferenceUID")) for header in headers)
    if frameless:
        yield f"{frameless} of {len(headers)} slices without a valid FrameOfReferenceUID, results could not be placed"
    frames = max((number_of(header, "NumberOfFrames") or 1 for header in headers), default=1)
    if frames > 1:
        yield f"a multi-frame object that does not say where each of its {frames:g} frames lies"


def _without_numbers(volume: VolumeCandidate) -> dict[str, int]:
    """How many slices lack each of the attributes that say where a slice lies."""
    lacking = {
        keyword: sum(len(numbers_of(header, keyword)) != count for header in _headers(volume))
        for keyword, count in _NUMBERS_NEEDED.items()
    }
    return {keyword: count for keyword, count in lacking.items() if count}


def _plausible_spacing(volume: VolumeCandidate) -> Iterator[str]:
    for spacing in sorted({numbers_of(header, "PixelSpacing") for header in _headers(volume)}):
        if spacing and not 0 < min(spacing) <= max(spacing) <= MAX_PIXEL_SPACING_MM:
            yield f"PixelSpacing {' x '.join(f'{mm:g}' for mm in spacing)} mm is not plausible"


def _plausible_pixels(volume: VolumeCandidate, limits: ReadLimits) -> Iterator[str]:
    keywords = (
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "SamplesPerPixel",
        "PhotometricInterpretation",
    )
    kinds = {tuple(str(value_of(header, keyword)) for keyword in keywords): header for header in _headers(volume)}
    for header in kinds.values():
        try:
            read_pixel_format(header, limits)
        except UnsupportedPixelDataError as error:
            yield _message(error)


_CHECKS: tuple[Callable[[VolumeCandidate], Iterator[str]], ...] = (
    _image_objects,
    _identified,
    _one_source,
    _with_pixels,
    _readable,
    _placed,
    _plausible_spacing,
)
