"""Where the frames of a derived object lie, for highdicom."""

from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.valuerep import DSfloat

from operators.domain.geometry import Geometry


def plane_attributes(geometry: Geometry) -> dict[str, Any]:
    """The arguments ``plane_positions``, ``plane_orientation`` and ``pixel_measures`` for frames on this grid."""
    patient = hd.CoordinateSystemNames.PATIENT
    corners = geometry.positions(np.arange(geometry.shape[0])[:, None] * np.array([1, 0, 0]))
    return {
        "plane_positions": [hd.PlanePositionSequence(patient, corner.tolist()) for corner in corners],
        "plane_orientation": hd.PlaneOrientationSequence(patient, geometry.directions[:, [2, 1]].T.ravel().tolist()),
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=geometry.spacing[1:].tolist(),
            slice_thickness=float(geometry.spacing[0]),
            spacing_between_slices=float(geometry.spacing[0]),
        ),
    }


def set_slice_measures(header: Dataset, slice_spacing: float, *, is_even: bool = True) -> None:
    """Let the Pixel Measures say the measured spacing: highdicom copies them from the first header, where they may be
    missing (slice thickness is type 2) or wrong.

    is_even : whether the slices have one spacing at all; the thickness stands alone where they have none
    """
    spacing = DSfloat(slice_spacing, auto_format=True)
    if not header.get("SliceThickness"):
        header.SliceThickness = spacing
    if is_even:
        header.SpacingBetweenSlices = spacing
    else:
        header.pop("SpacingBetweenSlices", None)
