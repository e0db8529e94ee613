"""A series that was read: its voxels and the headers they came from."""

from dataclasses import dataclass

from pydicom import Dataset

from operators.domain.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class SourceSeries:
    """One selected series, on its own grid.

    role : why it was selected, such as "axial CT"
    volume : slices ascend along the cross product of row and column direction cosines
    headers : one per slice in the volume's order, without pixel data
    digest : hex BLAKE3 over the sorted SOP Instance UIDs and the bytes of their pixel data
    reasons : what spoke for selecting it, in plain words
    remarks : what a reader of the results should know about the source, in plain words
    frame_numbers : 1-based frame of each slice, where instances hold several
    multi_frame : header of the one object that holds all slices as its frames, None for single-frame instances
    is_resampled : the volume's planes are not the slices'
    """

    series_instance_uid: str
    modality: str
    role: str
    volume: Volume
    headers: tuple[Dataset, ...]
    digest: str
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    frame_numbers: tuple[int, ...] = ()
    multi_frame: Dataset | None = None
    is_resampled: bool = False

    @property
    def takes_segments(self) -> bool:
        """Whether masks on the volume are masks on the slices, so that a Segmentation can refer to them."""
        return not self.is_resampled and bool(self.multi_frame or not self.frame_numbers)

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        return tuple(str(header.SOPInstanceUID) for header in self.headers)
