"""Result objects to files that are whole or not there."""

import errno
import hashlib
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from operators.errors import OutputError, ResourceError

_IDENTIFIERS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID")


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A DICOM file that was written and read back.

    kind : SEG, SR, ...: its modality
    sha256 : of the file's bytes
    """

    path: Path
    kind: str
    sop_class_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sha256: str
    bytes: int


def write_dataset(dataset: Dataset, folder: Path, *, source: Dataset) -> OutputFile:
    """Write *dataset* as ``<kind>_<SOP Instance UID>.dcm`` and check that it reads back as meant.

    source : any header of the study the result belongs to

    Raises
    ------
    OutputError
        The object names another patient or study than its source, or does not read back; no file is left.
    ResourceError
        The disk is full.
    """
    for keyword in ("PatientID", "StudyInstanceUID"):
        if (dataset.get(keyword) or "") != (source.get(keyword) or ""):
            raise OutputError(f"{dataset.Modality}: {keyword} differs from the source's; nothing was written")
    content = _encoded(dataset)
    path = folder / f"{dataset.Modality}_{dataset.SOPInstanceUID}.dcm"
    _write_atomically(content, path)
    _check_reads_back(path, dataset)
    return OutputFile(
        path=path,
        kind=str(dataset.Modality),
        sop_class_uid=str(dataset.SOPClassUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )


def _encoded(dataset: Dataset) -> bytes:
    # A preamble can hide a program (a file that is both DICOM and executable); ours is zero.
    dataset.preamble = bytes(128)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _write_atomically(content: bytes, path: Path) -> None:
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"{path.name}: the disk is full; free some space and run again") from error
        raise OutputError(f"{path.name}: could not be written: {error.strerror}") from error


def _check_reads_back(path: Path, dataset: Dataset) -> None:
    try:
        written = pydicom.dcmread(path)
    except (InvalidDicomError, EOFError) as error:
        path.unlink()
        raise OutputError(f"{path.name}: does not read back as DICOM") from error
    for keyword in _IDENTIFIERS:
        if (written.get(keyword) or "") != (dataset.get(keyword) or ""):
            path.unlink()
            raise OutputError(f"{path.name}: {keyword} differs after reading back; the file was removed")
