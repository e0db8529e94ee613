"""A series that was read: its voxels and the headers they came from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.volumes.slice_planes import slice_plane
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume

EVEN_STEPS = 0.01
"""How far a step may differ from the others, as a share of it, for slices to have one spacing."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceSeries:
    """One selected series, on its own grid.

    role : why it was selected, such as "axial CT"
    volume : slices ascend along the cross product of row and column direction cosines. A resampled one may have more
        planes than the series has slices
    headers : one per source slice, ascending likewise, without pixel data
    digest : hex BLAKE3 over the sorted SOP Instance UIDs and the bytes of their pixel data
    reasons : what spoke for selecting it, in plain words
    remarks : what a reader of the results should know about the source, in plain words
    frame_numbers : 1-based frame of each slice, where instances hold several
    multi_frame : header of the one object that holds all slices as its frames, None for single-frame instances
    is_resampled : the volume's planes are not the slices'; `slice_masks` has the way back
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
    def sop_instance_uids(self) -> tuple[str, ...]:
        """One for each source slice."""
        return tuple(str(header.SOPInstanceUID) for header in self.headers)

    @property
    def slice_planes(self) -> tuple[Geometry, ...]:
        """The pixels of each source slice as a grid of its own, one slice deep, where its header says that they lie."""
        frame_of_reference_uid = self.volume.geometry.frame_of_reference_uid
        return tuple(slice_plane(header, frame_of_reference_uid) for header in self.headers)

    @property
    def has_even_steps(self) -> bool:
        """Whether the slices are as far apart as the volume's planes are."""
        if not self.is_resampled:
            return True
        corners = np.array([header.ImagePositionPatient for header in self.headers], np.float64)
        steps = np.diff(corners @ self.volume.geometry.directions[:, 0])
        step = self.volume.geometry.spacing[0]
        return bool(np.allclose(steps, step, rtol=EVEN_STEPS, atol=0.0))

    @property
    def nearest_instance_uids(self) -> tuple[str, ...]:
        """For each plane of the volume the SOP Instance UID of the source slice that lies nearest to it."""
        planes = np.arange(self.volume.geometry.shape[0])
        positions = self.volume.geometry.positions(np.stack([planes, 0 * planes, 0 * planes], axis=1))
        uids = self.sop_instance_uids
        return tuple(uids[k] for k in self.nearest_slices(positions))

    def nearest_slices(self, positions: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N, 3) LPS mm to (N,): the source slice whose plane each position is nearest to."""
        normal = self.volume.geometry.directions[:, 0]
        corners = np.array([header.ImagePositionPatient for header in self.headers], np.float64)
        away = np.abs((positions @ normal)[:, None] - corners @ normal)
        return np.asarray(away.argmin(axis=1), np.int64)

    def on_nearest_slice(self, position: NDArray[np.float64]) -> tuple[int, float, float]:
        """(3,) LPS mm to the source slice that lies nearest, and the row and column there."""
        if not self.is_resampled:
            depth, row, column = self.volume.geometry.indices(position)
            return min(max(round(float(depth)), 0), len(self.headers) - 1), float(row), float(column)
        k = int(self.nearest_slices(position[None])[0])
        plane = slice_plane(self.headers[k], self.volume.geometry.frame_of_reference_uid)
        _, row, column = plane.indices(position)
        return k, float(row), float(column)
