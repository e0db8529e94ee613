"""Damaged copies of small studies: bytes turned over, cut and doubled, and headers that claim the impossible.

They come as files, as zip files, or as the folder of a medium with its DICOMDIR.
"""

import io
import random
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from phantoms import SeriesSpec, build_datasets, build_enhanced, build_uneven

DATA = Path(__file__).parents[1] / "data"
Study = list[bytes]

BOMB_BYTES = 2**24
"""More than `reading.LIMITS` lets zip files unpack to."""

_NUMBERS = (0, 1, 2, 7, 8, 12, 15, 16, 17, 32, 33, 255, 4096, 32767, 32768, 65535)
_WHOLE = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_DECIMAL = (
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "SliceThickness",
    "SpacingBetweenSlices",
    "GantryDetectorTilt",
    "NumberOfFrames",
    "EchoTime",
)
_TEXTS = (
    b"",
    b"0",
    b"-1",
    b"1e308",
    b"1e-308",
    b"nan",
    b"inf",
    b"abc",
    b"2147483647",
    b"1\\2",
    b"\\\\",
    b"0\\0\\0",
    b"9" * 64,
)
_SYNTAXES = ("", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "9.9")


def base_studies() -> list[Study]:
    """Small whole studies in every encoding that is read."""
    spec = SeriesSpec(shape=(3, 48, 40))
    native = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
    encoded = [RLELossless, JPEGLSLossless, JPEG2000Lossless]
    studies = [[_written(dataset, syntax) for dataset in build_datasets(spec)] for syntax in (*native, *encoded)]
    studies += [[_written(build_enhanced(spec), syntax)] for syntax in (ExplicitVRLittleEndian, JPEGLSLossless)]
    studies += [[_written(dataset, ExplicitVRLittleEndian) for dataset in stack] for stack in _uneven_stacks()]
    studies.append([path.read_bytes() for path in sorted((DATA / "ct_phantom_htj2k").iterdir())])
    singles = sorted((DATA / "ct_one_slice_many_syntaxes").glob("*JPEGProcess*"))
    return studies + [[path.read_bytes()] for path in singles]


def _uneven_stacks() -> list[list[Dataset]]:
    """A head of two thicknesses, slabs that overlap, acquisitions in one another, padding beyond the stored bits."""
    spec = SeriesSpec(shape=(3, 12, 10))
    padded = build_datasets(spec)
    for dataset in padded:
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = np.where(np.arange(120) < 9, -2000, np.arange(2500, 2620)).astype("<i2").tobytes()
    return [
        build_uneven(spec, [0, 2.5, 5, 7.5, 11.25, 16.25, 21.25], [2.5] * 4 + [5] * 3),
        build_uneven(spec, [0, 5, 10, 12, 15, 17, 22, 27], [5] * 8),
        build_uneven(spec, [0, 1.3, 5, 6.3, 10, 11.3, 15, 16.3], [5] * 8),
        padded,
    ]


def mutated(study: Study, chance: random.Random) -> Study:
    """A copy with one to three defects in one or all of its files."""
    files = list(study)
    for _ in range(chance.randint(1, 3)):
        damage = chance.choice(_DAMAGES)
        for k in range(len(files)) if chance.random() < 0.3 else [chance.randrange(len(files))]:
            files[k] = damage(files[k], chance)
    return files


def wrapped(study: Study, chance: random.Random) -> dict[str, bytes]:
    """The study as a folder: each file's name and its bytes."""
    files = {f"{number}.dcm": data for number, data in enumerate(study)}
    kind = chance.random()
    if kind < 0.2:
        return {"DICOMDIR": _perhaps_damaged(_directory(list(files)), chance)} | files
    if kind < 0.4:
        return {"study.zip": _perhaps_damaged(_zipped(files, chance), chance)}
    if kind < 0.45:
        return {"loose.dcm": study[0], "disc.zip": _zipped(files, chance), "again.zip": _zipped(files, chance)}
    return files


def _perhaps_damaged(data: bytes, chance: random.Random) -> bytes:
    return chance.choice((_flip, _widen, _cut, _double, _remove))(data, chance) if chance.random() < 0.5 else data


def _zipped(files: dict[str, bytes], chance: random.Random) -> bytes:
    """With a member that unpacks to more than the limits allow, once in a while."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, data in files.items():
            archive.writestr(chance.choice(("", "../", "DISC/")) + name, data)
        if chance.random() < 0.1:
            archive.writestr("bomb", bytes(128) + b"DICM" + bytes(BOMB_BYTES), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _directory(names: Sequence[str]) -> bytes:
    """A DICOMDIR that lists the files (PS3.3 F.3)."""
    records = []
    for name in names:
        record = Dataset()
        record.OffsetOfTheNextDirectoryRecord, record.RecordInUseFlag, record.DirectoryRecordType = 0, 0xFFFF, "IMAGE"
        record.ReferencedFileID = name
        records.append(record)
    directory = Dataset()
    directory.FileSetID, directory.DirectoryRecordSequence = "FUZZ", records
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    file = io.BytesIO()
    pydicom.dcmwrite(file, directory, enforce_file_format=True)
    return file.getvalue()


def _written(dataset: Dataset, syntax: UID) -> bytes:
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if changed:
            changed[_place(changed, chance)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(changed)


def _widen(data: bytes, chance: random.Random) -> bytes:
    """Lengths and sizes are 16 or 32 bits wide: turn one of them into something extreme."""
    changed, width = bytearray(data), chance.choice((2, 4))
    place = _place(data, chance)
    changed[place : place + width] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"))[:width]
    return bytes(changed)


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: _place(data, chance)]


def _double(data: bytes, chance: random.Random) -> bytes:
    start = _place(data, chance)
    return data[:start] + data[start : start + chance.randint(1, 400)] + data[start:]


def _remove(data: bytes, chance: random.Random) -> bytes:
    start = _place(data, chance)
    return data[:start] + data[start + chance.randint(1, 64) :]


def _place(data: Sequence[int], chance: random.Random) -> int:
    """Anywhere, but half of the time where the headers are or where pixels begin."""
    end = max(len(data), 1)
    return chance.randrange(min(end, 2500) if chance.random() < 0.5 else end)


def _claim(data: bytes, chance: random.Random) -> bytes:
    """Parse, set one attribute to something absurd, write; what pydicom cannot parse or write stays as it is."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        chance.choice((_claim_number, _claim_text, _claim_syntax, _forget))(dataset, chance)
        file = io.BytesIO()
        pydicom.dcmwrite(file, dataset, enforce_file_format=False)
    except Exception:  # noqa: BLE001 - a file that is too broken to edit is damaged enough
        return data
    return file.getvalue()


def _claim_number(dataset: Dataset, chance: random.Random) -> None:
    dataset.add_new(chance.choice(_WHOLE), "US", chance.choice(_NUMBERS))


def _claim_text(dataset: Dataset, chance: random.Random) -> None:
    keyword, text = chance.choice(_DECIMAL), chance.choice(_TEXTS)
    dataset.add_new(keyword, "UN", text + b" " * (len(text) % 2))


def _claim_syntax(dataset: Dataset, chance: random.Random) -> None:
    dataset.file_meta.TransferSyntaxUID = UID(chance.choice(_SYNTAXES))


def _forget(dataset: Dataset, chance: random.Random) -> None:
    del dataset[chance.choice(sorted(dataset.keys()))]


_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _flip,
    _widen,
    _cut,
    _double,
    _remove,
    _claim,
    _claim,
)
