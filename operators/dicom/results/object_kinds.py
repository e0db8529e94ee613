"""The SOP classes of everything that we write."""

from pydicom.uid import (
    Comprehensive3DSRStorage,
    DeformableSpatialRegistrationStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    SpatialRegistrationStorage,
)

from operators.dicom.results.result_settings import ObjectKind

SOP_CLASSES: dict[str, ObjectKind] = {
    # Modality does not tell (OT for Secondary Capture and Parametric Map)
    Comprehensive3DSRStorage: "SR",
    SegmentationStorage: "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",  # Label Map Segmentation Storage, which pydicom does not name yet
    SpatialRegistrationStorage: "REG",
    DeformableSpatialRegistrationStorage: "DREG",
    KeyObjectSelectionDocumentStorage: "KO",
    SecondaryCaptureImageStorage: "SC",
    EncapsulatedPDFStorage: "PDF",
    ParametricMapStorage: "PM",
}
