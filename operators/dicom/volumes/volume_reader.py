"""Slices to one volume, or an error that says with numbers why not. What is changed on the way is said in remarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.pixels.pixel_decoding import decode_frame
from operators.dicom.pixels.pixel_format import PixelFormat, read_pixel_format
from operators.dicom.pixels.pixel_values import ValueMarks, check_marks, fill_padding, value_remarks, value_transform
from operators.dicom.pixels.stored_pixels import StoredPixels, locate_pixels
from operators.dicom.study.batches import map_in_batches
from operators.dicom.study.header_values import text_of
from operators.dicom.study.read_limits import DEFAULT_LIMITS, ReadLimits
from operators.dicom.study.study_index import SeriesIndex
from operators.dicom.volumes.slice_layout import SliceLayout, lay_out
from operators.dicom.volumes.slice_resampling import resample_slices
from operators.dicom.volumes.slice_stack import SliceStack, stack_slices, without_duplicates
from operators.dicom.volumes.slices import Slice, VolumeCandidate, shallow_copy, slices_of
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.volume import Volume
from operators.errors import ResourceError, SeriesGeometryError


def read_series(series: SeriesIndex, *, role: str) -> SourceSeries:
    """Read a series that is one volume as a whole."""
    slices = tuple(plane for instance in series.instances for plane in slices_of(instance))
    return read_volume(VolumeCandidate(series.series_instance_uid, series.modality, slices), role=role)


def read_volume(candidate: VolumeCandidate, *, role: str, limits: ReadLimits = DEFAULT_LIMITS) -> SourceSeries:
    """Read the pixels of one volume onto its regular grid.

    Raises
    ------
    SeriesGeometryError
        For slices of several sizes or orientations, a missing slice, a step that changes, different slices at one
        position, and several frames of reference.
    UnsupportedPixelDataError
        For pixels that are missing, cut short, implausible or not decodable.
    ResourceError
        For a volume beyond the limits or the memory.
    """
    limits.check_count(len(candidate.slices), f"series {candidate.series_instance_uid}")
    stack = stack_slices(candidate)
    reader = _reader(stack, candidate.modality, limits)
    stack, repeated = without_duplicates(stack, reader.same_values)
    headers, reframed = _in_one_frame(stack)
    rows, columns = reader.pixel_format.shape
    frame_of_reference_uid = text_of(headers[0], "FrameOfReferenceUID")
    layout = lay_out(stack, rows=rows, columns=columns, frame_of_reference_uid=frame_of_reference_uid)
    limits.check_size(layout.geometry.shape, stack.name)
    array, digest, marks = reader.read(stack.slices, layout)
    check_marks(marks, stack.name)
    multi_frame, scattered = _multi_frame(stack)
    values = value_remarks(stack.headers, marks, modality=candidate.modality)
    return SourceSeries(
        series_instance_uid=candidate.series_instance_uid,
        modality=candidate.modality,
        role=role,
        volume=Volume(array, layout.geometry),
        headers=headers,
        digest=digest,
        remarks=(*stack.remarks, *repeated, *reframed, *layout.remarks, *scattered, *values),
        frame_numbers=_frame_numbers(stack),
        multi_frame=multi_frame,
        is_resampled=layout.is_resampled,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _SliceReader:
    """Reads slices of one pixel format.

    stored : pixel data by file
    """

    pixel_format: PixelFormat
    stored: dict[Path, StoredPixels]
    modality: str

    def read(
        self, slices: Sequence[Slice], layout: SliceLayout
    ) -> tuple[NDArray[np.float32], str, tuple[ValueMarks, ...]]:
        """The volume, the digest of its source, and what was found in each slice."""
        # A header that lies about its pixels is found out before anything of the volume's size is allocated.
        self._read_into(slices[0], np.empty(self.pixel_format.shape, np.float32))
        array = _allocated((len(slices), *self.pixel_format.shape), slices[0])
        read = list(map_in_batches(lambda k: self._read_into(slices[k], array[k]), range(len(slices))))
        marks = tuple(found for _, found in read)
        # Before slices are resampled: what is interpolated beside padding would be padding too.
        fill_padding(array, [k for k, found in enumerate(marks) if found.padding], modality=self.modality)
        if layout.is_resampled:
            array = resample_slices(array, layout)
            fill_padding(array, range(len(array)), modality=self.modality)
        lines = sorted(f"{_identity(plane)} {digest}" for plane, (digest, _) in zip(slices, read, strict=True))
        return array, blake3("\n".join(lines).encode()).hexdigest(), marks

    def same_values(self, one: Slice, other: Slice) -> bool:
        arrays = np.empty((2, *self.pixel_format.shape), np.float32)
        for plane, array in zip((one, other), arrays, strict=True):
            self._read_into(plane, array)
        return np.array_equal(arrays[0], arrays[1], equal_nan=True)

    def _read_into(self, plane: Slice, target: NDArray[np.float32]) -> tuple[str, ValueMarks]:
        """Decode one slice as HU or scanner units; the digest of its stored bytes and what was found in it."""
        stored = self.stored[plane.instance.path]
        encoded = stored.read_frame(plane.frame)
        transform = value_transform(plane.header, stored.pixel_format, modality=self.modality)
        found = transform.apply(decode_frame(stored, encoded), target)
        return blake3(encoded).hexdigest(), found


def _reader(stack: SliceStack, modality: str, limits: ReadLimits) -> _SliceReader:
    """Find every file's pixels and hold their size against the headers, before anything is allocated."""
    instances = {plane.instance.path: plane.instance for plane in stack.slices}
    formats = {path: read_pixel_format(instance.header, limits) for path, instance in instances.items()}
    if len({pixel_format.shape for pixel_format in formats.values()}) > 1:
        raise SeriesGeometryError(f"{stack.name}: slices differ in Rows or Columns, expected one size")
    for path, instance in instances.items():
        if formats[path].num_frames > 1 and "PerFrameFunctionalGroupsSequence" not in instance.header:
            raise SeriesGeometryError(
                f"{stack.name}: an image of {formats[path].num_frames} frames without functional groups; nothing tells "
                "where they lie"
            )
    stored = {path: locate_pixels(instance, formats[path]) for path, instance in instances.items()}
    return _SliceReader(formats[stack.slices[0].instance.path], stored, modality)


def _allocated(shape: tuple[int, int, int], plane: Slice) -> NDArray[np.float32]:
    try:
        return np.empty(shape, np.float32)
    except MemoryError as error:
        raise ResourceError(
            f"series {text_of(plane.header, 'SeriesInstanceUID')}: no memory for {' x '.join(map(str, shape))} voxels; "
            "free some and try again"
        ) from error


def _in_one_frame(stack: SliceStack) -> tuple[tuple[Dataset, ...], tuple[str, ...]]:
    """Headers that agree on the frame of reference.

    Some de-identification gives every slice a frame of its own (all of TCIA's LIDC-IDRI). Slices on one regular grid
    that *all* differ are taken for such a series and get the first slice's; two or a few frames are refused.
    """
    frames = {text_of(header, "FrameOfReferenceUID") for header in stack.headers}
    if len(frames) == 1:
        return stack.headers, ()
    if len(frames) < len(stack.headers) or "" in frames:
        raise SeriesGeometryError(f"{stack.name}: expected one frame of reference, found {len(frames)}")
    first = text_of(stack.headers[0], "FrameOfReferenceUID")
    return tuple(_with_frame(header, first) for header in stack.headers), (
        f"{stack.name}: every slice names a frame of reference of its own; the first slice's is used for all",
    )


def _with_frame(header: Dataset, frame_of_reference_uid: str) -> Dataset:
    adjusted = shallow_copy(header)
    adjusted.add_new("FrameOfReferenceUID", "UI", frame_of_reference_uid)
    return adjusted


def _identity(plane: Slice) -> str:
    uid = text_of(plane.header, "SOPInstanceUID")
    return f"{uid} {plane.frame}" if plane.frame else uid


def _frame_numbers(stack: SliceStack) -> tuple[int, ...]:
    return tuple(plane.frame + 1 for plane in stack.slices) if _holds_frames(stack.slices[0]) else ()


def _multi_frame(stack: SliceStack) -> tuple[Dataset | None, tuple[str, ...]]:
    """The object that all slices are frames of, if there is one."""
    paths = {plane.instance.path for plane in stack.slices}
    if not any(_holds_frames(plane) for plane in stack.slices):
        return None, ()
    if len(paths) == 1:
        return stack.slices[0].instance.header, ()
    return None, (f"{stack.name}: frames of {len(paths)} objects make the volume",)


def _holds_frames(plane: Slice) -> bool:
    # A classic slice's header is the instance's own, a frame's is made for it.
    return plane.header is not plane.instance.header
