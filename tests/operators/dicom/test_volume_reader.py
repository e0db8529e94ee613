from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from operators.dicom.study_index import index_study
from operators.dicom.volume_reader import read_series
from operators.errors import InputError, SeriesGeometryError, UnsupportedPixelDataError
from phantoms import OBLIQUE, SeriesSpec, build_datasets, grid_positions, phantom_value, save_series

CHEST_CT = Path(__file__).parents[2] / "data" / "ct_chest_lidc0314"
SMALL = SeriesSpec(shape=(5, 12, 10))


def read(folder: Path):
    (series,) = index_study(folder).series
    return read_series(series, role="test")


def written(folder: Path, spec: SeriesSpec, change: Callable[[int, Dataset], None] = lambda k, d: None) -> Path:
    datasets = build_datasets(spec)
    for number, dataset in enumerate(datasets):
        change(number, dataset)
    save_series(datasets, folder)
    return folder


def axis_cosines() -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    axes = [tuple(float(sign * (k == axis)) for k in range(3)) for axis in range(3) for sign in (1, -1)]
    return [(row, column) for row, column in product(axes, axes) if not np.dot(row, column)]


@pytest.mark.parametrize("cosines", [*axis_cosines(), OBLIQUE])
@pytest.mark.parametrize("descending", [False, True])
def test_every_voxel_lies_where_the_phantom_has_it(tmp_path: Path, cosines, descending: bool):
    spec = SeriesSpec(shape=(7, 20, 16), row_cosine=cosines[0], column_cosine=cosines[1], descending=descending)
    source = read(written(tmp_path, spec))
    np.testing.assert_allclose(source.volume.geometry.affine, spec.geometry.affine, atol=1e-5)
    np.testing.assert_array_equal(source.volume.array, phantom_value(grid_positions(spec.geometry)))
    assert source.volume.geometry.frame_of_reference_uid == spec.uid("frame of reference")
    for k, header in enumerate(source.headers):
        position = source.volume.geometry.positions(np.array([k, 0, 0]))
        np.testing.assert_allclose(np.array(header.ImagePositionPatient, float), position, atol=1e-5)


def test_the_grid_agrees_with_two_other_readers(tmp_path: Path):
    spec = SeriesSpec(shape=(7, 20, 16), row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1])
    source = read(written(tmp_path, spec))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    for index in permutations((1, 3, 6)):
        ours = source.volume.geometry.positions(np.array(index))
        np.testing.assert_allclose(ours, image.TransformIndexToPhysicalPoint(index[::-1]), atol=1e-4)
    np.testing.assert_array_equal(source.volume.array, SimpleITK.GetArrayFromImage(image))
    volume = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in tmp_path.iterdir()])
    assert sorted(source.volume.array.ravel()) == sorted(volume.array.ravel())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_the_encoding_changes_no_value(tmp_path: Path, syntax):
    spec = SeriesSpec(shape=(3, 64, 48))
    folder = written(tmp_path, spec)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        if syntax.is_compressed:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    np.testing.assert_array_equal(read(folder).volume.array, phantom_value(grid_positions(spec.geometry)))


def test_each_slice_has_its_own_rescale(tmp_path: Path):
    def rescale(number: int, dataset: Dataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + number, -10.0 * number
        dataset.PixelData = np.full((12, 10), -3 + number, "<i2").tobytes()

    array = read(written(tmp_path, SMALL, rescale)).volume.array
    np.testing.assert_allclose(array[:, 0, 0], [(0.5 + k) * (k - 3) - 10 * k for k in range(5)])


def drop(number: int) -> Callable[[Path], None]:
    return lambda folder: sorted(folder.iterdir(), key=lambda p: pydicom.dcmread(p).InstanceNumber)[number].unlink()


def change_all(change: Callable[[int, Dataset], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for number, path in enumerate(sorted(folder.iterdir())):
            dataset = pydicom.dcmread(path)
            change(number, dataset)
            dataset.save_as(path)

    return apply


def tilt(number: int, dataset: Dataset) -> None:
    dataset.ImagePositionPatient[1] += 0.2 * dataset.ImagePositionPatient[2]


def cut_pixels(folder: Path) -> None:
    path = sorted(folder.iterdir())[0]
    path.write_bytes(path.read_bytes()[:-60])


def one_of(**values: object) -> Callable[[int, Dataset], None]:
    def change(number: int, dataset: Dataset) -> None:
        for keyword, value in values.items():
            if number == 0:
                setattr(dataset, keyword, value)

    return change


def inverted(number: int, dataset: Dataset) -> None:
    dataset.PhotometricInterpretation = "MONOCHROME1"


REFUSED = {
    "missing slice": (drop(2), SeriesGeometryError, "3.000 to 6.000 mm apart, expected 3.000 mm throughout"),
    "tilt": (change_all(tilt), SeriesGeometryError, r"shift by 2\.40 mm in their plane \(gantry tilt\)"),
    "duplicate": (
        change_all(one_of(ImagePositionPatient=build_datasets(SMALL)[1].ImagePositionPatient)),
        SeriesGeometryError,
        "same position|mm apart",
    ),
    "pixel spacing": (change_all(one_of(PixelSpacing=[1, 1])), SeriesGeometryError, "slices differ in PixelSpacing"),
    "two frames": (
        change_all(one_of(FrameOfReferenceUID="1.2.3")),
        SeriesGeometryError,
        "expected one frame of reference, found 2",
    ),
    "inverted": (change_all(inverted), UnsupportedPixelDataError, "expected PhotometricInterpretation MONOCHROME2"),
    "cut pixels": (cut_pixels, UnsupportedPixelDataError, "cannot be decoded; the file is cut short"),
}


@pytest.mark.parametrize(("damage", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_regular_volume_is_refused_with_numbers(tmp_path: Path, damage, error, message):
    folder = written(tmp_path, SMALL)
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        read(folder)
    assert isinstance(caught.value, error)


def test_the_digest_is_of_the_pixels_and_the_instances_not_of_their_order(tmp_path: Path):
    first = read(written(tmp_path / "a", SMALL)).digest
    assert read(written(tmp_path / "b", SMALL)).digest == first
    change = change_all(lambda number, dataset: dataset.__setattr__("PixelData", dataset.PixelData[::-1]))
    change(tmp_path / "b")
    assert read(tmp_path / "b").digest != first


def test_headers_of_the_index_stay_as_they_were_read():
    (series,) = index_study(CHEST_CT).series
    source = read_series(series, role="test")
    assert len({header.FrameOfReferenceUID for header in source.headers}) == 1
    assert len({header.FrameOfReferenceUID for header in series.headers}) == 32


def test_the_bundled_chest_ct_is_read_as_it_was_published():
    source = read(CHEST_CT)
    assert source.volume.geometry.shape == (32, 512, 512)
    np.testing.assert_allclose(source.volume.geometry.spacing, [1.0, 0.78125, 0.78125], atol=1e-6)
    # The slices name 32 frames of reference, a known effect of how the collection was de-identified.
    assert source.remarks == (
        f"series {source.series_instance_uid}: every slice names a frame of reference of its own; "
        "the first slice's is used for all",
    )
    datasets = [pydicom.dcmread(path) for path in CHEST_CT.iterdir()]
    datasets.sort(key=lambda dataset: dataset.ImagePositionPatient[2])
    expected = np.stack([dataset.pixel_array.astype(np.float32) - 1000 for dataset in datasets])
    np.testing.assert_array_equal(source.volume.array, expected)
