"""Single images of any kind as volumes: JPEG, PNG, NIfTI, one DICOM file."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from operators.dicom.study.header_files import read_header
from operators.dicom.study.study_index import Instance
from operators.dicom.volumes.slices import VolumeCandidate, slices_of
from operators.dicom.volumes.volume_reader import read_volume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.encoder_input import orient_for_encoder
from trainer.ingest.nifti import read_nifti

AXIAL = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
"""Rows to posterior, columns to the left, 1 mm: what a picture says about its place is nothing, so it is left as it
is shown."""


def read_picture(path: Path) -> Volume:
    """An image file's voxels, float32, with its axes as the encoder wants them; a flat picture is one slice.

    Raises
    ------
    ValueError
        When the file is of no kind that is read here, or damaged.
    FileNotFoundError
        When there is none.
    """
    name = path.name.lower()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected an image file, found none")
    if name.endswith((".nii", ".nii.gz")):
        return orient_for_encoder(read_nifti(path).astype(np.float32))
    if name.endswith(".dcm"):
        return orient_for_encoder(_read_dicom(path))
    if name.endswith((".jpg", ".jpeg", ".png", ".tif", ".tiff")):
        try:
            return flat_volume(read_pixels(path.read_bytes()))
        except OSError as error:
            raise ValueError(f"{path}: expected a picture, could not read it: {error}") from error
    raise ValueError(f"{path}: expected .jpg, .png, .tif, .nii, .nii.gz or .dcm")


def picture_modality(path: Path) -> str:
    """The modality that a DICOM file's header says; "" where it says none, or the file is no DICOM."""
    header = read_header(path)
    return str(header[0].get("Modality", "")) if isinstance(header, tuple) else ""


def read_pixels(encoded: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(H, W) float32 of a JPEG, PNG or TIFF file; of colours the luminance."""
    with Image.open(BytesIO(encoded)) as picture:
        plain = picture if picture.mode in ("L", "I", "I;16", "F", "1") else picture.convert("L")
        return np.asarray(plain, np.float32)


def flat_volume(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Volume:
    """(H, W), or (D, H, W) for a stack, as it is shown, on a grid of 1 mm."""
    array = pixels if pixels.ndim == 3 else pixels[None]
    depth, height, width = array.shape
    return Volume(np.ascontiguousarray(array), Geometry(AXIAL, (depth, height, width)))


def _read_dicom(path: Path) -> Volume:
    header = read_header(path)
    if not isinstance(header, tuple):
        raise ValueError(f"{path}: expected a DICOM file with an image, got {header.value}")
    slices = slices_of(Instance(path, *header))
    candidate = VolumeCandidate(str(header[0].SeriesInstanceUID), str(header[0].Modality), slices)
    return read_volume(candidate, role="benchmark").volume.astype(np.float32)
