"""A deformation as a Deformable Spatial Registration object."""

import numpy as np
from pydicom import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage

from operators.dicom.results.registration.series_pair import (
    content_based,
    image_references,
    registration_object,
)
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.stamping import stamp
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.transform import DisplacementField

SERIES_NUMBER = 9602
RIGHT_HANDED = 1e-6


def build_deformable_registration(
    fixed: SourceSeries, moving: SourceSeries, field: DisplacementField, *, run: RunContext
) -> Dataset:
    """A Deformable Spatial Registration (PS3.3 A.39.2, C.20.3).

    field : all of the way from the fixed to the moving frame, so that neither a matrix before the grid nor one after it
        is needed: a place x of the registered frame lies at x plus the grid's vector in the source frame.

    Raises
    ------
    ValueError
        The field's axes are not at right angles: the object has two direction cosines, the third is their product.
    """
    series_key = f"DREG:{moving.series_instance_uid}:{fixed.series_instance_uid}"
    dataset = registration_object(
        fixed,
        moving,
        run=run,
        sop_class_uid=DeformableSpatialRegistrationStorage,
        series_key=series_key,
        series_number=SERIES_NUMBER,
        title="AI deformation",
    )
    item = Dataset()
    item.SourceFrameOfReferenceUID = moving.volume.geometry.frame_of_reference_uid
    item.ReferencedImageSequence = image_references(moving)
    item.RegistrationTypeCodeSequence = content_based()
    item.DeformableRegistrationGridSequence = [_grid(field)]
    dataset.DeformableRegistrationSequence = [item]
    stamp(dataset, run, series_key=series_key)
    return dataset


def _grid(field: DisplacementField) -> Dataset:
    """Deformable Registration Grid: x runs along the rows and fastest, z along the product of the two cosines."""
    geometry, vectors = field.geometry, np.asarray(field.displacements, np.float32)
    slices, rows, columns = (geometry.directions[:, k] for k in range(3))
    across = np.cross(columns, rows)
    if abs(abs(float(across @ slices)) - 1) > RIGHT_HANDED or abs(float(rows @ columns)) > RIGHT_HANDED:
        raise ValueError("field: expected axes at right angles, as the grid's two direction cosines tell them")
    if across @ slices < 0:
        geometry, vectors = geometry.flipped(0), vectors[:, ::-1]
    grid = Dataset()
    grid.ImagePositionPatient = [float(f"{x:.9g}") for x in geometry.affine[:3, 3]]
    grid.ImageOrientationPatient = [float(f"{x:.9g}") for x in (*columns, *rows)]
    grid.GridDimensions = list(reversed(geometry.shape))
    grid.GridResolution = [float(step) for step in reversed(geometry.spacing)]
    # (3, D, H, W) to one vector of x, y, z after the other, columns fastest.
    grid.VectorGridData = np.ascontiguousarray(np.moveaxis(vectors, 0, -1), "<f4").tobytes()
    return grid
