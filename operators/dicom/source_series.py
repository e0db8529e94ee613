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
    digest : hex SHA-256 over the sorted SOP Instance UIDs and the bytes of their pixel data
    remarks : what a reader of the results should know about the source, in plain words
    """

    series_instance_uid: str
    modality: str
    role: str
    volume: Volume
    headers: tuple[Dataset, ...]
    digest: str
    remarks: tuple[str, ...] = ()

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        return tuple(str(header.SOPInstanceUID) for header in self.headers)
