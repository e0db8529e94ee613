"""One image plane at a time, whatever object carries it: a classic file or a frame of an enhanced one."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.tag import BaseTag

from operators.dicom.study.header_values import UNREADABLE, text_of, value_of
from operators.dicom.study.study_index import Instance
from operators.errors import SeriesGeometryError

_FRAME_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

_CLASSIC_KEYWORDS = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
}
"""What the functional groups of PS3.3 C.7.6.16 call by another name than the classic CT and MR modules do."""

_PATIENT_GROUP = 0x0010
_OF_THE_OBJECT = {
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
}
"""What no functional group may change; converted objects carry left-over attributes of any kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One plane of pixels.

    frame : 0-based within the instance, 0 in a classic one
    header : a classic one's own header; for a frame of an enhanced object the same keywords, with the shared and the
        frame's functional groups laid over the object's header
    """

    instance: Instance
    frame: int
    header: Dataset


@dataclass(frozen=True, slots=True, eq=False)
class VolumeCandidate:
    """Slices of one series that should make one volume.

    label : which part of the series, such as "b = 800 s/mm2"; empty for the whole
    """

    series_instance_uid: str
    modality: str
    slices: tuple[Slice, ...]
    label: str = ""


def slices_of(instance: Instance) -> tuple[Slice, ...]:
    """Every plane of an instance, in the order of its frames.

    An object without functional groups is one slice, also if it says that it has several frames: nothing tells where
    those lie.

    Raises
    ------
    SeriesGeometryError
        When the per-frame functional groups do not match the number of frames.
    """
    header = instance.header
    groups = value_of(header, "PerFrameFunctionalGroupsSequence")
    if not groups:
        return (Slice(instance, 0, header),)
    name = f"series {text_of(header, 'SeriesInstanceUID')}"
    num_frames = value_of(header, "NumberOfFrames")
    if num_frames != len(groups):
        raise SeriesGeometryError(
            f"{name}: expected functional groups for each of {num_frames or 'no'} frames, found {len(groups)}"
        )
    try:
        common = _common_header(header)
        return tuple(Slice(instance, frame, _flattened(common, group)) for frame, group in enumerate(groups))
    except UNREADABLE as error:
        raise SeriesGeometryError(f"{name}: functional groups that cannot be read; send the instance again") from error


def shallow_copy(header: Dataset) -> Dataset:
    """A data set of its own with the original's elements; unread values stay unread.

    Elements may be added and replaced (``add_new``), but not changed: setting an attribute changes the shared element.
    pydicom's own shallow copy shares even the table of elements.
    """
    copied = Dataset({tag: header.get_item(tag) for tag in header.keys()})
    copied.file_meta = header.file_meta
    return copied


def _common_header(header: Dataset) -> Dataset:
    """The object's header with its shared functional groups, ready for a frame's."""
    common = shallow_copy(header)
    for keyword in (*_FRAME_GROUPS, "NumberOfFrames"):
        common.pop(keyword, None)
    for shared in value_of(header, "SharedFunctionalGroupsSequence") or ():
        common = _flattened(common, shared)
    return common


def _flattened(common: Dataset, group: Dataset) -> Dataset:
    frame = shallow_copy(common)
    for macro in _macros(group):
        for tag in macro.keys():
            if _describes_frame(tag):
                frame[tag] = macro.get_item(tag)
                classic = _CLASSIC_KEYWORDS.get(keyword_for_tag(tag))
                if classic:
                    frame.add_new(classic, macro[tag].VR, macro[tag].value)
    return frame


def _macros(group: Dataset) -> Iterator[Dataset]:
    """All public macros with one item; one with several, such as referenced images, describes no plane."""
    for tag in group.keys():
        if not tag.is_private and group[tag].VR == "SQ" and len(group[tag].value or ()) == 1:
            yield group[tag].value[0]


def _describes_frame(tag: BaseTag) -> bool:
    return not tag.is_private and tag.group != _PATIENT_GROUP and keyword_for_tag(tag) not in _OF_THE_OBJECT
