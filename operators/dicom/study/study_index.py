"""The headers of a study, read once and grouped into series; pixels stay on disk."""

import filecmp
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from operators.dicom.study.archives import Unpacker
from operators.dicom.study.batches import map_in_batches
from operators.dicom.study.header_files import UnreadFile, looks_like_dicom, read_header
from operators.dicom.study.header_values import text_of
from operators.dicom.study.read_limits import DEFAULT_LIMITS, ReadLimits
from operators.dicom.study.study_identity import check_identity
from operators.errors import InputError, PatientMismatchError

NUM_THREADS = 2
"""More threads do not help: parsing holds the interpreter's lock (3,000 files in memory: 0.53 s with one thread, 0.60 s
with two, 0.75 s with four); two hide disk latency."""

_PROGRESS_EVERY = 100

Progress = Callable[[int, int], None]
"""Called with the number of files read and the number of all files."""


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
    """All DICOM instances of a study.

    num_other_files : files that are not DICOM, counted and left alone
    num_copies : files that were left out because another one is equal to the byte
    """

    series: tuple[SeriesIndex, ...]
    num_other_files: int
    num_copies: int = 0

    @property
    def headers(self) -> Iterator[Dataset]:
        return (header for series in self.series for header in series.headers)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the results should know about the files, in plain words."""
        nameless = {
            keyword: sum(not text_of(header, keyword) for header in self.headers)
            for keyword in ("SeriesInstanceUID", "SOPInstanceUID")
        }
        remarks = [
            f"{_count(count, 'instance')} without {keyword}; results cannot refer to them, so they are not used"
            for keyword, count in nameless.items()
            if count
        ]
        if self.num_copies:
            remarks.append(f"{_count(self.num_copies, 'file')} left out, equal to the byte to another one")
        return tuple(remarks)


def index_study(
    source: Path,
    *,
    scratch: Path | None = None,
    limits: ReadLimits = DEFAULT_LIMITS,
    progress: Progress = lambda done, total: None,
) -> StudyIndex:
    """Index every DICOM file of *source*, a folder, a zip file or a DICOM file, whatever the files are called.

    scratch : empty folder that zip files are unpacked to; it must outlive the index. Without one, zip files count as
        other files.

    Raises
    ------
    InputError
        When there is no DICOM file, one that is broken in its header, or more to unpack than the limits allow.
    """
    paths = _files(source)
    found = _read_all(paths, limits, progress)
    archives = [path for path, entry in zip(paths, found, strict=True) if entry is UnreadFile.ARCHIVE]
    if scratch and archives:
        unpacker = Unpacker(scratch, looks_like_dicom, limits)
        found = [entry for entry in found if entry is not UnreadFile.ARCHIVE]
        found += _read_all(unpacker.unpack(archives), limits, progress)
        found += [UnreadFile.OTHER] * unpacker.num_other_files
    instances = _instances(found)
    unique = _without_copies(instances)
    return StudyIndex(tuple(_series(unique)), len(found) - len(instances), len(instances) - len(unique))


def index_readable(
    paths: Sequence[Path], *, limits: ReadLimits = DEFAULT_LIMITS
) -> tuple[StudyIndex, dict[UnreadFile, int]]:
    """Index those of *paths* that can be read, of any number of studies, and count the others by what they are.

    Raises
    ------
    InputError
        When a deflated file unpacks to more than the limit.
    """
    found = _read_all(paths, limits, lambda done, total: None)
    instances = _images(found)
    unique = _without_copies(instances)
    others = Counter(entry for entry in found if isinstance(entry, UnreadFile))
    return StudyIndex(tuple(_series(unique)), others.total(), len(instances) - len(unique)), dict(others)


def split_studies(index: StudyIndex) -> tuple[StudyIndex, ...]:
    """One index for each StudyInstanceUID; a series that names several stays whole, with its first instance's."""

    def uid(series: SeriesIndex) -> str:
        return text_of(series.instances[0].header, "StudyInstanceUID")

    grouped = groupby(sorted(index.series, key=uid), key=uid)
    return tuple(StudyIndex(tuple(series), num_other_files=0) for _, series in grouped)


def check_one_study(index: StudyIndex) -> str:
    """The Study Instance UID that all instances share.

    An issuer that is missing contradicts none; a missing Patient ID contradicts any.

    Raises
    ------
    IdentityError
        When results could not name patient and study exactly as the instances do.
    PatientMismatchError
        When the instances name more than one patient.
    InputError
        When they name more than one study, or none.
    """
    check_identity(index.headers)
    patients = _distinct(index.headers, "PatientID")
    issuers = _distinct(index.headers, "IssuerOfPatientID") - {""}
    if len(patients) > 1 or len(issuers) > 1:
        raise PatientMismatchError(
            f"input: expected one patient, found {max(len(patients), len(issuers))}; nothing was computed, "
            "give one study at a time"
        )
    studies = _distinct(index.headers, "StudyInstanceUID")
    if len(studies) != 1 or studies == {""}:
        raise InputError(
            f"input: expected one StudyInstanceUID in all instances, found {len(studies - {''})}; "
            "give one study at a time"
        )
    return studies.pop()


def _distinct(headers: Iterable[Dataset], keyword: str) -> set[str]:
    return {text_of(header, keyword) for header in headers}


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"input: expected a folder or a zip file with DICOM files, {source} is neither")
    return sorted(path for path in source.rglob("*") if path.is_file())


def _read_all(paths: Sequence[Path], limits: ReadLimits, progress: Progress) -> list[Instance | UnreadFile]:
    entries: list[Instance | UnreadFile] = []
    headers = map_in_batches(partial(read_header, limits=limits), paths, num_threads=NUM_THREADS)
    for path, read in zip(paths, headers, strict=True):
        entries.append(read if isinstance(read, UnreadFile) else Instance(path, *read))
        if len(entries) % _PROGRESS_EVERY == 0:
            progress(len(entries), len(paths))
    return entries


def _instances(found: Sequence[Instance | UnreadFile]) -> list[Instance]:
    broken, closed = found.count(UnreadFile.BROKEN), found.count(UnreadFile.CLOSED)
    if closed:
        raise InputError(f"input: {closed} of {len(found)} files cannot be opened; check who may read them")
    if broken:
        raise InputError(
            f"input: {broken} of {len(found)} files start as DICOM but end inside their header; send them again"
        )
    instances = _images(found)
    if not instances:
        raise InputError(f"input: no DICOM file found among {len(found)} files")
    return instances


def _images(found: Sequence[Instance | UnreadFile]) -> list[Instance]:
    instances = [entry for entry in found if isinstance(entry, Instance)]
    # A directory of a medium (DICOMDIR) lists files and is none of the images itself.
    return [entry for entry in instances if _media_storage_class(entry) != MediaStorageDirectoryStorage]


def _media_storage_class(instance: Instance) -> str:
    return text_of(instance.header.file_meta, "MediaStorageSOPClassUID")


def _without_copies(instances: Sequence[Instance]) -> list[Instance]:
    """Each file once. Two with one SOP Instance UID but other bytes both stay, for the volume reader to refuse."""
    kept: dict[str, list[Instance]] = {}
    for instance in instances:
        twins = kept.setdefault(text_of(instance.header, "SOPInstanceUID"), [])
        if not any(filecmp.cmp(twin.path, instance.path, shallow=False) for twin in twins):
            twins.append(instance)
    return [instance for twins in kept.values() for instance in twins]


def _series(instances: Sequence[Instance]) -> Iterator[SeriesIndex]:
    def uid(instance: Instance) -> str:
        return text_of(instance.header, "SeriesInstanceUID")

    for series_instance_uid, group in groupby(sorted(instances, key=uid), key=uid):
        members = tuple(group)
        yield SeriesIndex(series_instance_uid, text_of(members[0].header, "Modality"), members)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
