"""Masks to the frames of a Segmentation: which slices of which segment, and their pixels as DICOM stores them.

Every function goes through the masks one by one, so that memory holds the frames and never a stack of all masks.
Empty slices get no frame.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.dicom.results.segmentation.extents import Extent, extent_of

MAXIMUM_FRACTIONAL_VALUE = 255


@dataclass(frozen=True, slots=True, eq=False)
class SegmentFrames:
    """Frames in the order of their pixels.

    slices : for each segment the slices it has a frame on, ascending; a label map has one entry for all segments
    pixels : value of Pixel Data, of even length
    segments_overlap : YES, NO or UNDEFINED (PS3.3 C.8.20.2, Segments Overlap)
    """

    slices: tuple[NDArray[np.intp], ...]
    pixels: bytes
    segments_overlap: str

    @property
    def num_frames(self) -> int:
        return sum(len(slices) for slices in self.slices)


def binary_frames(masks: Sequence[NDArray[np.bool_]], extents: Sequence[Extent]) -> SegmentFrames:
    """One bit a pixel, frame after frame without padding between them (PS3.5 8.1.1)."""
    pixels = _packed(_frames(mask, extent) for mask, extent in zip(masks, extents, strict=True))
    overlap = "YES" if _overlap(masks, extents) else "NO"
    return SegmentFrames(tuple(extent.slices for extent in extents), pixels, overlap)


def fractional_frames(probabilities: Sequence[NDArray[np.uint8]]) -> SegmentFrames:
    """One byte a pixel, in steps of 1/255; whether the segments overlap is nothing that probabilities tell."""
    extents = [extent_of(probability) for probability in probabilities]
    pixels = _joined(_frames(array, extent) for array, extent in zip(probabilities, extents, strict=True))
    overlap = "NO" if len(probabilities) == 1 else "UNDEFINED"
    return SegmentFrames(tuple(extent.slices for extent in extents), pixels, overlap)


def label_map_frames(labels: NDArray[Any]) -> SegmentFrames:
    """One or two bytes a pixel, as the labels are."""
    extent = extent_of(labels)
    return SegmentFrames((extent.slices,), _joined([_frames(labels, extent)]), "NO")


def label_map(masks: Sequence[NDArray[np.bool_]], extents: Sequence[Extent]) -> NDArray[Any]:
    """(D, H, W) unsigned, little endian: 0 for background, k for the k-th mask; where masks overlap the last one wins.

    Segments are in the order anatomy, findings: a finding is seen in the organ that it lies in.
    """
    labels = np.zeros(masks[0].shape, np.uint8 if len(masks) <= np.iinfo(np.uint8).max else "<u2")
    for number, (mask, extent) in enumerate(zip(masks, extents, strict=True), start=1):
        np.copyto(labels[extent.box], number, where=mask[extent.box], casting="unsafe")
    return labels


def hidden_voxels(
    masks: Sequence[NDArray[np.bool_]], extents: Sequence[Extent], labels: NDArray[Any]
) -> tuple[int, ...]:
    """How many voxels of each mask the label map shows as another one."""
    return tuple(
        int(np.count_nonzero(mask[extent.box]) - np.count_nonzero(labels[extent.box] == number))
        for number, (mask, extent) in enumerate(zip(masks, extents, strict=True), start=1)
    )


def _frames(array: NDArray[Any], extent: Extent) -> NDArray[Any]:
    """The slices that hold something, without a copy where they follow one another."""
    block = array[extent.box[0]]
    return block if len(block) == len(extent.slices) else array[extent.slices]


def _overlap(masks: Sequence[NDArray[np.bool_]], extents: Sequence[Extent]) -> bool:
    taken = np.zeros(masks[0].shape, np.bool_)
    for mask, extent in zip(masks, extents, strict=True):
        part, already = mask[extent.box], taken[extent.box]
        if (already & part).any():
            return True
        already |= part
    return False


def _packed(blocks: Iterable[NDArray[np.bool_]]) -> bytes:
    return _joined(np.packbits(bits, bitorder="little") for bits in _in_whole_bytes(blocks))


def _in_whole_bytes(blocks: Iterable[NDArray[np.bool_]]) -> Iterator[NDArray[np.bool_]]:
    """The same bits, cut where a byte ends; only the last block may end within one."""
    left = np.empty(0, np.bool_)
    for block in blocks:
        bits = np.concatenate([left, block.ravel()]) if left.size else block.ravel()
        whole = bits.size // 8 * 8
        yield bits[:whole]
        left = bits[whole:]
    yield left


def _joined(arrays: Iterable[NDArray[Any]]) -> bytes:
    buffer = BytesIO()
    for array in arrays:
        buffer.write(np.ascontiguousarray(array).data)
    if buffer.tell() % 2:
        buffer.write(b"\0")
    return buffer.getvalue()
