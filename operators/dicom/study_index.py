"""The headers of a folder, read once and grouped into series; pixels stay on disk."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from operators.errors import InputError, PatientMismatchError

UNDEFINED_LENGTH = 0xFFFFFFFF
_MAGIC = slice(128, 132)


@dataclass(frozen=True, slots=True)
class Instance:
    """One file and its header without pixel data."""

    path: Path
    header: Dataset
    has_pixel_data: bool


@dataclass(frozen=True, slots=True)
class SeriesIndex:
    series_instance_uid: str
    modality: str
    instances: tuple[Instance, ...]

    @property
    def headers(self) -> tuple[Dataset, ...]:
        return tuple(instance.header for instance in self.instances)


@dataclass(frozen=True, slots=True)
class StudyIndex:
    """All DICOM instances below a folder.

    num_other_files : files that are not DICOM, counted and left alone
    """

    series: tuple[SeriesIndex, ...]
    num_other_files: int

    @property
    def headers(self) -> Iterator[Dataset]:
        return (header for series in self.series for header in series.headers)


def index_study(folder: Path) -> StudyIndex:
    """Index every DICOM file below *folder*, whatever it is called.

    Raises
    ------
    InputError
        When nothing below the folder is DICOM, or a DICOM file is broken in its header.
    """
    if not folder.is_dir():
        raise InputError(f"input: expected a folder with DICOM files, {folder} is none")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor() as pool:
        entries = list(pool.map(_read_header, paths))
    broken = entries.count("broken")
    if broken:
        raise InputError(
            f"input: {broken} of {len(paths)} files start as DICOM but end inside their header; send them again"
        )
    instances = [entry for entry in entries if isinstance(entry, Instance)]
    if not instances:
        raise InputError(f"input: no DICOM file found, {len(paths)} other files were ignored")
    return StudyIndex(tuple(_series(instances)), len(paths) - len(instances))


def check_one_study(index: StudyIndex) -> str:
    """The Study Instance UID that all instances share.

    Raises
    ------
    PatientMismatchError
        When the instances name more than one patient.
    InputError
        When they name more than one study, or none.
    """
    patients = _distinct(index.headers, "PatientID", "IssuerOfPatientID")
    if len(patients) > 1:
        raise PatientMismatchError(f"input: expected one patient, found {len(patients)}; nothing was computed")
    studies = _distinct(index.headers, "StudyInstanceUID")
    if len(studies) != 1 or studies == {("",)}:
        raise InputError(f"input: expected one StudyInstanceUID in all instances, found {len(studies - {('',)})}")
    return next(iter(studies))[0]


def _distinct(headers: Iterable[Dataset], *keywords: str) -> set[tuple[str, ...]]:
    return {tuple(str(header.get(keyword) or "").strip() for keyword in keywords) for header in headers}


def _read_header(path: Path) -> Instance | str | None:
    """The instance, "broken" for a DICOM file that ends too early, None for any other file."""
    with path.open("rb") as file:
        magic = file.read(132)[_MAGIC]
    if magic != b"DICM":
        return None
    try:
        instance = _read_until_pixels(path)
    except (EOFError, InvalidDicomError, ValueError, KeyError, AttributeError):
        return "broken"
    if instance.header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        return None
    return instance


def _read_until_pixels(path: Path) -> Instance:
    with path.open("rb") as file:
        header = pydicom.dcmread(file, stop_before_pixels=True)
        # A deflated data set is unpacked whole, so the position in the file tells nothing.
        deflated = header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        has_pixel_data = deflated or bool(file.read(1))
    # pydicom takes the end of the file for the end of the header, so a file cut short reads like a shorter one.
    if not has_pixel_data and (_ends_inside_element(header) or "SeriesInstanceUID" not in header):
        raise EOFError
    header.decode()
    return Instance(path, header, has_pixel_data)


def _ends_inside_element(header: Dataset) -> bool:
    last = header.get_item(max(header.keys()))
    return (
        isinstance(last, RawDataElement) and last.value is not None and len(last.value) < last.length < UNDEFINED_LENGTH
    )


def _series(instances: list[Instance]) -> Iterator[SeriesIndex]:
    def uid(instance: Instance) -> str:
        return str(instance.header.get("SeriesInstanceUID", ""))

    for series_instance_uid, group in groupby(sorted(instances, key=uid), key=uid):
        members = tuple(group)
        yield SeriesIndex(series_instance_uid, str(members[0].header.get("Modality", "")), members)
