"""Result objects to files that are whole or not there."""

import errno
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from operators.dicom.results.encoding import encode_dataset
from operators.dicom.results.object_kinds import SOP_CLASSES
from operators.dicom.results.result_settings import ObjectKind
from operators.dicom.study.character_sets import raw_bytes_of
from operators.documents import whole_file
from operators.errors import OutputError, ResourceError

_IDENTIFIERS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID")


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A DICOM file that was written and read back.

    sha256 : of the file's bytes
    """

    path: Path
    kind: ObjectKind
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
    kind = SOP_CLASSES[dataset.SOPClassUID]
    for keyword in ("PatientID", "StudyInstanceUID"):
        if raw_bytes_of(dataset, keyword) != raw_bytes_of(source, keyword):
            raise OutputError(f"{kind}: {keyword} differs from the source's; nothing was written")
    # A preamble can hide a program (a file that is both DICOM and executable); ours is zero.
    dataset.preamble = bytes(128)
    path = folder / f"{kind}_{dataset.SOPInstanceUID}.dcm"
    sha256, size = _write_atomically(dataset, path)
    _check_reads_back(path, dataset, size)
    return OutputFile(
        path=path,
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sha256=sha256,
        bytes=size,
    )


def _write_atomically(dataset: Dataset, path: Path) -> tuple[str, int]:
    try:
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            written = encode_dataset(dataset, file)
    except OSError as error:
        cause = _root_cause(error)
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"{path.name}: the disk is full; free some space and run again") from error
        raise OutputError(f"{path.name}: could not be written: {cause.strerror}") from error
    return written


def _root_cause(error: OSError) -> OSError:
    """pydicom raises a new error without a number, which names the element that was being written."""
    while isinstance(error.__cause__, OSError):
        error = error.__cause__
    return error


def _check_reads_back(path: Path, dataset: Dataset, size: int) -> None:
    try:
        written = pydicom.dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, EOFError) as error:
        path.unlink()
        raise OutputError(f"{path.name}: does not read back as DICOM") from error
    if path.stat().st_size != size:
        path.unlink()
        raise OutputError(f"{path.name}: expected {size} bytes on the disk, found another number; the file was removed")
    for keyword in _IDENTIFIERS:
        if raw_bytes_of(written, keyword) != raw_bytes_of(dataset, keyword):
            path.unlink()
            raise OutputError(f"{path.name}: {keyword} differs after reading back; the file was removed")
