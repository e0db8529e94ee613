"""Headers with values that no writer would write."""

import struct
from io import BytesIO

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag


def written_with(dataset: Dataset, *, character_set: str | list[str] | None = None, **values: bytes) -> bytes:
    """The file whose header has these bytes at these keywords; their VRs are those with a length of two bytes."""
    dataset.SpecificCharacterSet = character_set
    for keyword, value in values.items():
        setattr(dataset, keyword, _placeholder(value))
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    dicom = stream.getvalue()
    for keyword, value in values.items():
        standing, wanted = (_encoded(keyword, one) for one in (_placeholder(value).encode(), value))
        assert dicom.count(standing) == 1
        dicom = dicom.replace(standing, wanted)
    return dicom


def _placeholder(value: bytes) -> str:
    return "7" * (len(value) + len(value) % 2)


def _encoded(keyword: str, value: bytes) -> bytes:
    tag, padded = Tag(keyword), value + b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag.group, tag.element, dictionary_VR(tag).encode(), len(padded)) + padded
