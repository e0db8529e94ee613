"""The circle around a scanner's field of view is air, however it is written; the images are those with air."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.volume_reader import read_series
from operators.errors import UnsupportedPixelDataError
from phantoms import SeriesSpec, build_datasets, save_series

SPEC = SeriesSpec(shape=(4, 40, 48))
ROW, COLUMN = np.ogrid[:40, :48]
OUTSIDE = ((ROW - 19.5) / 19) ** 2 + ((COLUMN - 23.5) / 23) ** 2 > 1
"""The corners, which scanners do not reconstruct."""

Write = Callable[[np.ndarray, Dataset], np.ndarray]
"""From stored values of 16 bits with a sign to those of the file, and what the header says of them."""


def read(folder: Path, corner: int, write: Write = lambda stored, dataset: stored, spec=SPEC, tilt: float = 0):
    """The phantom with *corner* HU in its corners, as *write* stores it."""
    datasets = build_datasets(spec)
    for number, dataset in enumerate(datasets):
        stored = np.frombuffer(dataset.PixelData, "<i2").reshape(40, 48).copy()
        stored[OUTSIDE] = corner - int(dataset.RescaleIntercept)
        dataset.PixelData = write(stored, dataset).astype("<u2", casting="unsafe").tobytes()
        dataset.ImagePositionPatient[1] += tilt * number
    save_series(datasets, folder)
    (series,) = index_study(folder).series
    return read_series(series, role="test")


def tagged(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    dataset.add_new("PixelPaddingValue", "SS", int(stored[0, 0]))
    return stored


@pytest.mark.parametrize("tilt", [0.0, 1.1], ids=["straight", "tilted"])
@pytest.mark.parametrize("write", [tagged, lambda stored, dataset: stored], ids=["tag", "no tag"])
@pytest.mark.parametrize("corner", [-1025, -2000, -3024, -8192])
def test_a_circle_of_padding_is_air(tmp_path: Path, corner: int, write: Write, tilt: float):
    padded, with_air = read(tmp_path / "a", corner, write, tilt=tilt), read(tmp_path / "b", -1000, tilt=tilt)
    np.testing.assert_array_equal(padded.volume.array, with_air.volume.array)
    words = "PixelPaddingValue" if write is tagged else "values below -1024 HU in 4 of 4 slices are no tissue"
    assert sum(words in remark for remark in padded.remarks) == 1
    assert not [remark for remark in with_air.remarks if "HU" in remark]


def test_the_lowest_value_of_twelve_bits_is_left_alone(tmp_path: Path):
    assert read(tmp_path, -1024).volume.array.min() == -1024


def twelve_bits(*, signed: bool) -> Write:
    def write(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, int(signed)
        return stored

    return write


def with_tag(write: Write, vr: str, padding: int) -> Write:
    def tagged_write(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        dataset.add_new("PixelPaddingValue", vr, padding)
        return write(stored, dataset)

    return tagged_write


BEYOND_BITS = {
    "unsigned": twelve_bits(signed=False),
    "signed": twelve_bits(signed=True),
    "unsigned, tag 63536": with_tag(twelve_bits(signed=False), "US", 63536),
    "unsigned, tag -2000": with_tag(twelve_bits(signed=False), "SS", -2000),
    "signed, tag -2000": with_tag(twelve_bits(signed=True), "SS", -2000),
    "16 bits without a sign": lambda stored, dataset: setattr(dataset, "PixelRepresentation", 0) or stored,
}


@pytest.mark.parametrize(
    ("modality", "name"),
    # An MR value may use all 16 bits.
    [(modality, name) for modality in ("CT", "MR") for name in BEYOND_BITS if (modality, name[:2]) != ("MR", "16")],
)
def test_padding_beyond_the_stored_bits_is_background(tmp_path: Path, name: str, modality: str):
    """Bone of 700 HU is stored as 2,724, more than 11 bits; padding of -2,000 as 63,536."""
    spec = replace(SPEC, modality=modality)
    padded = read(tmp_path / "a", -2000 - 1024, with_bone(BEYOND_BITS[name]), spec)
    with_air = read(tmp_path / "b", -1000, with_bone(lambda stored, dataset: stored), spec)
    expected = with_air.volume.array
    if modality == "MR":
        expected = np.where(OUTSIDE, expected[:, ~OUTSIDE].min(), expected)
    np.testing.assert_array_equal(padded.volume.array, expected)
    assert any("padding" in remark or "PixelPaddingValue" in remark for remark in padded.remarks)


def with_bone(write: Write) -> Write:
    """Where 12 bits of -2,000 would be taken for it."""

    def bone(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        stored[20, 20] = 2096
        return write(stored, dataset)

    return bone


def test_stray_bits_of_several_values_are_refused_with_the_reason(tmp_path: Path):
    def stray(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        stored[0, :3] = [-2000, -2001, -2002]
        return twelve_bits(signed=False)(stored, dataset)

    with pytest.raises(UnsupportedPixelDataError, match="neither an overlay nor one value of padding explains"):
        read(tmp_path, -1000, stray)


def test_a_header_with_too_few_bits_is_no_padding(tmp_path: Path):
    """A metal of 3,500 HU is stored as 4,524, which needs 13 bits."""

    def metal(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        stored[20, 20] = 4524
        return twelve_bits(signed=False)(stored, dataset)

    with pytest.raises(UnsupportedPixelDataError, match="values from 24 to 4524, but 12 bits stored"):
        read(tmp_path, -1000, metal)


def test_slices_that_contradict_one_another_about_the_sign_are_refused(tmp_path: Path):
    def some(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        if dataset.InstanceNumber > 1:
            stored[OUTSIDE] = -2000
        return twelve_bits(signed=True)(stored, dataset)

    with pytest.raises(UnsupportedPixelDataError, match="nothing tells whether their highest bit is a sign"):
        read(tmp_path, -1000, with_bone(some))


def test_ct_values_beyond_every_scale_are_refused(tmp_path: Path):
    def steep(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        dataset.RescaleSlope = 20
        return stored

    with pytest.raises(
        UnsupportedPixelDataError, match=r"expected CT values up to 32767 HU, got .*; check RescaleSlope"
    ):
        read(tmp_path, -1000, steep)


def test_bone_is_not_taken_for_air_where_the_header_has_a_sign_too_many(tmp_path: Path):
    """Up to 1,100 HU stored as 2,124 in 12 bits with a sign: as negative numbers they would lie below -1024 HU."""

    def dense(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        stored[18:22, 18:22] = np.arange(2109, 2125).reshape(4, 4)
        return twelve_bits(signed=True)(stored, dataset)

    with pytest.raises(UnsupportedPixelDataError, match="PixelRepresentation or BitsStored is wrong"):
        read(tmp_path, -1000, dense)


def test_a_sign_that_was_not_carried_is_carried_in_a_whole_series(tmp_path: Path):
    """HU stored as they are in 12 bits, their sign only in the twelfth."""

    def unextended(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
        hounsfield = stored.astype(int) - 1024
        dataset.RescaleIntercept = 0
        return twelve_bits(signed=True)(hounsfield & 0x0FFF, dataset)

    as_it_is, masked = read(tmp_path / "a", -1000), read(tmp_path / "b", -1000, unextended)
    np.testing.assert_array_equal(masked.volume.array, as_it_is.volume.array)
