"""What a folder holds: volumes to take, and whatever cannot be taken with the reason."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, cast

from nibabel.filebasedimages import ImageFileError

from operators.dicom.selection.series_splitting import split_series
from operators.dicom.selection.volume_checks import check_volume
from operators.dicom.study.header_values import text_of, texts_of
from operators.dicom.study.study_index import SeriesIndex, index_readable
from operators.dicom.study.value_meaning import value_meaning
from operators.dicom.volumes.slices import VolumeCandidate
from operators.dicom.volumes.volume_reader import read_volume
from operators.domain.value_meaning import ValueMeaning
from operators.domain.volume import Volume
from operators.errors import CuriaError
from trainer.ingest.body_parts import body_region
from trainer.ingest.nifti import read_nifti_series
from trainer.ingest.pictures import read_picture
from trainer.ingest.pseudonyms import Pseudonyms
from trainer.ingest.sources import Folder

Modality = Literal["CT", "MR"]

_NIFTI_ENDINGS = (".nii", ".nii.gz")
_PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
_BIDS_SUBJECT = re.compile(r"(?:^|/)(sub-[A-Za-z0-9]+)(?:[/_]|$)")


@dataclass(frozen=True, slots=True)
class FileRule:
    """NIfTI files and pictures hold no modality, and a mask looks like an image: the names that *pattern* fits are of
    *modality*.
    """

    kind: Literal["NIfTI", "picture"]
    modality: Modality
    pattern: str


@dataclass(frozen=True, slots=True, eq=False)
class FoundVolume:
    """A volume that was read.

    patient, study, key : keyed hashes; *key* tells the volume from every other one
    values : what they mean
    """

    patient: str
    study: str
    key: str
    modality: Modality
    values: ValueMeaning
    region: str | None
    volume: Volume


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is left out; *reason* holds no name and no number, so that equal ones can be counted."""

    reason: str


def find_volumes(
    folder: Folder, pseudonyms: Pseudonyms, rules: tuple[FileRule, ...]
) -> Iterator[FoundVolume | Refused]:
    """Every CT and MR volume of the folder's own files, read by the application's readers, one at a time."""
    if folder.is_closed:
        yield Refused("folder: may not be opened")
        return
    nifti = [path for path in folder.paths if path.name.endswith(_NIFTI_ENDINGS)]
    pictures = [path for path in folder.paths if path.suffix.lower() in _PICTURE_ENDINGS]
    others = [path for path in folder.paths if path not in {*nifti, *pictures}]
    for path in nifti:
        yield from _in_nifti(path, pseudonyms, rules)
    for path in pictures:
        yield _picture(path, pseudonyms, rules)
    try:
        index, counted = index_readable(others)
    except CuriaError as error:
        yield Refused(reason_of(error))
        return
    except OSError:
        yield Refused("folder: the disk did not give a file")
        return
    for kind, count in counted.items():
        yield from [Refused(f"file: {kind.value}")] * count
    for series in index.series:
        yield from _in_series(series, pseudonyms)


def _in_series(series: SeriesIndex, pseudonyms: Pseudonyms) -> Iterator[FoundVolume | Refused]:
    if series.modality not in ("CT", "MR"):
        yield Refused("series: neither CT nor MR")
        return
    try:
        candidates = split_series(series)
    except CuriaError as error:
        yield Refused(reason_of(error))
        return
    for candidate in candidates:
        yield _read(candidate, pseudonyms)


def _read(candidate: VolumeCandidate, pseudonyms: Pseudonyms) -> FoundVolume | Refused:
    header = candidate.slices[0].header
    if "LOCALIZER" in texts_of(header, "ImageType"):
        return Refused("volume: a localizer")
    complaints = check_volume(candidate).complaints
    if complaints:
        return Refused(f"volume: {_without_numbers(complaints[0])}")
    try:
        source = read_volume(candidate, role="pre-training")
    except CuriaError as error:
        return Refused(reason_of(error))
    except OSError:
        # Its message names the file, which may be named after the patient.
        return Refused("volume: the disk did not give a file")
    study = text_of(header, "StudyInstanceUID")
    patient = text_of(header, "PatientID")
    # Without an identifier, a study is the widest group that surely belongs to one patient.
    named = (patient, text_of(header, "IssuerOfPatientID")) if patient else (study,)
    return FoundVolume(
        patient=pseudonyms.of("patient", *named),
        study=pseudonyms.of("study", study, num_bytes=8),
        key=pseudonyms.of("volume", candidate.series_instance_uid, candidate.label, source.digest, num_bytes=8),
        modality=cast(Modality, candidate.modality),
        values=value_meaning(header),
        region=body_region(header),
        volume=source.volume,
    )


def _in_nifti(path: Path, pseudonyms: Pseudonyms, rules: tuple[FileRule, ...]) -> Iterator[FoundVolume | Refused]:
    modality = _modality_of(path, "NIfTI", rules)
    if modality is None:
        yield Refused("NIfTI: no --nifti pattern names its modality")
        return
    try:
        for number, volume in enumerate(read_nifti_series(path)):
            yield FoundVolume(
                patient=_patient_of(path, pseudonyms),
                study=pseudonyms.of("study", str(path.parent), num_bytes=8),
                key=pseudonyms.of("volume", str(path), str(path.stat().st_size), str(number), num_bytes=8),
                modality=modality,
                values="HU" if modality == "CT" else "scanner units",
                region=None,
                volume=volume,
            )
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        # Messages of the library name the file.
        yield Refused(f"NIfTI: cannot be read ({type(error).__name__})")


def _picture(path: Path, pseudonyms: Pseudonyms, rules: tuple[FileRule, ...]) -> FoundVolume | Refused:
    """One slice; eight bits hold what somebody windowed for display."""
    modality = _modality_of(path, "picture", rules)
    if modality is None:
        return Refused("picture: no --pictures pattern names its modality")
    try:
        volume = read_picture(path)
    except (OSError, ValueError) as error:
        return Refused(f"picture: cannot be read ({type(error).__name__})")
    return FoundVolume(
        patient=_patient_of(path, pseudonyms),
        study=pseudonyms.of("study", str(path.parent), num_bytes=8),
        key=pseudonyms.of("volume", str(path), str(path.stat().st_size), num_bytes=8),
        modality=modality,
        values="grey levels",
        region=None,
        volume=volume,
    )


def _modality_of(path: Path, kind: str, rules: tuple[FileRule, ...]) -> Modality | None:
    return next((rule.modality for rule in rules if rule.kind == kind and fnmatch(path.name, rule.pattern)), None)


def _patient_of(path: Path, pseudonyms: Pseudonyms) -> str:
    """BIDS names the subject; elsewhere a folder may hold one patient, and is never divided between two splits."""
    subject = _BIDS_SUBJECT.search(str(path))
    return pseudonyms.of("patient", str(path)[: subject.end(1)] if subject else str(path.parent))


def reason_of(error: CuriaError) -> str:
    """The message without the series that it begins with."""
    return f"{type(error).__name__}: {_without_numbers(str(error).partition(': ')[2])}"


def _without_numbers(message: str) -> str:
    return re.sub(r"\d[\d.]*", "#", message)
