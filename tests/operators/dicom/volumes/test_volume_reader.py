import re
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from blake3 import blake3
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.slices import VolumeCandidate, slices_of
from operators.dicom.volumes.volume_reader import read_series, read_volume
from operators.errors import InputError, ResourceError, SeriesGeometryError, UnsupportedPixelDataError
from phantoms import (
    OBLIQUE,
    SeriesSpec,
    build_datasets,
    build_enhanced,
    fill_pixels,
    grid_positions,
    phantom_value,
    ramp_value,
    save_series,
)

CHEST_CT = Path(__file__).parents[3] / "data" / "ct_chest_lidc0314"
ENHANCED_MR = CHEST_CT.parent / "mr_enhanced_philips"
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


def test_high_throughput_jpeg_2000_of_another_encoder_holds_the_phantom():
    spec = SeriesSpec(shape=(3, 48, 80))
    array = read(CHEST_CT.parent / "ct_phantom_htj2k").volume.array
    np.testing.assert_array_equal(array, phantom_value(grid_positions(spec.geometry)))


def test_each_slice_has_its_own_rescale(tmp_path: Path):
    def rescale(number: int, dataset: Dataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + number, -10.0 * number
        dataset.PixelData = np.full((12, 10), -3 + number, "<i2").tobytes()

    array = read(written(tmp_path, SMALL, rescale)).volume.array
    np.testing.assert_allclose(array[:, 0, 0], [(0.5 + k) * (k - 3) - 10 * k for k in range(5)])


def drop(*numbers: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        paths = sorted(folder.iterdir(), key=lambda path: pydicom.dcmread(path).InstanceNumber)
        for number in numbers:
            paths[number].unlink()

    return apply


def change_all(change: Callable[[int, Dataset], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for number, path in enumerate(sorted(folder.iterdir(), key=lambda path: pydicom.dcmread(path).InstanceNumber)):
            dataset = pydicom.dcmread(path)
            change(number, dataset)
            dataset.save_as(path)

    return apply


def moved(number: int, *shift: float) -> Callable[[int, Dataset], None]:
    def change(k: int, dataset: Dataset) -> None:
        if k == number:
            position = np.array(dataset.ImagePositionPatient, float) + shift
            dataset.ImagePositionPatient = [round(x, 6) for x in position]

    return change


def cut_pixels(folder: Path) -> None:
    path = sorted(folder.iterdir())[0]
    path.write_bytes(path.read_bytes()[:-60])


def one_of(**values: object) -> Callable[[int, Dataset], None]:
    def change(number: int, dataset: Dataset) -> None:
        for keyword, value in values.items():
            if number == 0:
                setattr(dataset, keyword, value)

    return change


def without(keyword: str) -> Callable[[int, Dataset], None]:
    return lambda number, dataset: dataset.pop(keyword)


def wild_tilt(number: int, dataset: Dataset) -> None:
    dataset.ImagePositionPatient[1] += 1.2 * dataset.ImagePositionPatient[2]


REFUSED = {
    "missing slice": (
        drop(2),
        SeriesGeometryError,
        r"4 slices are 3\.000 to 6\.000 mm apart, expected 3\.000 mm throughout; 1 missing between slices 2 and 3",
    ),
    "two missing slices": (drop(1, 2), SeriesGeometryError, r"3\.000 to 9\.000 mm apart, expected 6"),
    "slice out of plane": (change_all(moved(2, 2.5, 0, 0)), SeriesGeometryError, r"in their plane by up to 2\.50 mm"),
    "no gantry tilts so far": (change_all(wild_tilt), SeriesGeometryError, r"in their plane by up to 14\.40 mm"),
    "other pixels at the same place": (
        change_all(one_of(ImagePositionPatient=build_datasets(SMALL)[2].ImagePositionPatient)),
        SeriesGeometryError,
        "two slices lie at the same position but hold different pixels",
    ),
    "pixel spacing": (change_all(one_of(PixelSpacing=[1, 1])), SeriesGeometryError, "slices differ in PixelSpacing"),
    "zero spacing": (
        change_all(lambda number, dataset: setattr(dataset, "PixelSpacing", [0, 1])),
        SeriesGeometryError,
        "PixelSpacing must be positive and plausible, at least 0.001 mm, got 0 mm",
    ),
    "no position": (
        change_all(without("ImagePositionPatient")),
        SeriesGeometryError,
        "5 of 5 slices without a plausible",
    ),
    "no orientation": (
        change_all(lambda number, dataset: setattr(dataset, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0])),
        SeriesGeometryError,
        "two unit vectors at right angles",
    ),
    "two orientations": (
        change_all(one_of(ImageOrientationPatient=[1, 0, 0, 0, 0, 1])),
        SeriesGeometryError,
        r"several directions, cosines differ by 1\.0000",
    ),
    "two sizes": (change_all(one_of(Rows=6)), SeriesGeometryError, "slices differ in Rows, expected one, found 2"),
    "one frame for each slice but one, which has none": (
        change_all(lambda number, dataset: setattr(dataset, "FrameOfReferenceUID", f"1.2.{number}" if number else "")),
        SeriesGeometryError,
        "expected one frame of reference, found 5",
    ),
    "two frames": (
        change_all(one_of(FrameOfReferenceUID="1.2.3")),
        SeriesGeometryError,
        "expected one frame of reference, found 2",
    ),
    "two senses": (
        change_all(one_of(PhotometricInterpretation="MONOCHROME1")),
        UnsupportedPixelDataError,
        "slices differ in PhotometricInterpretation",
    ),
    "cut pixels": (cut_pixels, UnsupportedPixelDataError, "expected 240 bytes of pixels .* found 180; the file is cut"),
    "no slope": (change_all(one_of(RescaleSlope=0)), UnsupportedPixelDataError, "a usable RescaleSlope .* got 0 and"),
    "look-up table": (
        change_all(one_of(ModalityLUTSequence=[Dataset()])),
        UnsupportedPixelDataError,
        "got a Modality LUT, which is not applied",
    ),
}


@pytest.mark.parametrize(("damage", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_regular_volume_is_refused_with_numbers(tmp_path: Path, damage, error, message):
    folder = written(tmp_path, SMALL)
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        read(folder)
    assert isinstance(caught.value, error)


def test_which_of_two_equal_slices_stays_does_not_depend_on_file_names(tmp_path: Path):
    sources = []
    for name in ("0.dcm", "z.dcm"):
        folder = written(tmp_path / name, SMALL)
        dataset = pydicom.dcmread(sorted(folder.iterdir())[1])
        dataset.SOPInstanceUID = "1.2.3.4"
        dataset.save_as(folder / name)
        sources.append(read(folder))
    assert sources[0].sop_instance_uids == sources[1].sop_instance_uids
    assert sources[0].digest == sources[1].digest


def test_cosines_that_are_a_little_askew_make_an_orthogonal_grid(tmp_path: Path):
    folder = written(tmp_path, SMALL)
    change_all(lambda number, dataset: setattr(dataset, "ImageOrientationPatient", [1, 0.0005, 0, 0, 1, 0]))(folder)
    directions = read(folder).volume.geometry.directions
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)


def test_the_same_slice_twice_is_read_once(tmp_path: Path):
    folder = written(tmp_path, SMALL)
    dataset = pydicom.dcmread(sorted(folder.iterdir())[1])
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.save_as(folder / "again.dcm")
    source = read(folder)
    np.testing.assert_array_equal(source.volume.array, phantom_value(grid_positions(SMALL.geometry)))
    assert len(source.headers) == 5
    assert "1 slices that repeat another's position and pixels were left out" in source.remarks[0]


TILTED = SeriesSpec(shape=(9, 40, 36), slice_spacing=2.0, rescale_slope=0.001, rescale_intercept=0.0)


def tilted(tag: float | None, *, slope: float = 0.25) -> Callable[[int, Dataset], None]:
    """Slices that start further back the higher they lie, as a tilted gantry gives them, of the ramp."""

    def change(number: int, dataset: Dataset) -> None:
        dataset.ImagePositionPatient[1] += slope * dataset.ImagePositionPatient[2]
        if tag is not None:
            dataset.GantryDetectorTilt = tag
        store_ramp(dataset)

    return change


def store_ramp(dataset: Dataset) -> None:
    dataset.RescaleSlope, dataset.RescaleIntercept = 0.02, 0
    fill_pixels(dataset, ramp_value)


@pytest.mark.parametrize(("tag", "said"), [(None, "is missing"), (14.0, r"says 14\.0")])
def test_a_tilted_stack_is_set_straight_at_the_same_millimetres(tmp_path: Path, tag: float | None, said: str):
    source = read(written(tmp_path, TILTED, tilted(tag)))
    geometry = source.volume.geometry
    np.testing.assert_allclose(geometry.directions.T @ geometry.directions, np.eye(3), atol=1e-9)
    inside = source.volume.array != -1000
    expected = ramp_value(grid_positions(geometry))
    np.testing.assert_allclose(source.volume.array[inside], expected[inside], atol=0.011)
    # Nothing but a line at an edge is lost, and what lies beside the slices is air.
    assert inside.sum() >= 9 * 39 * 36
    assert source.is_resampled
    assert len(source.headers) == geometry.shape[0]
    message = rf"shift by 4\.00 mm in their plane, a gantry tilt of 14\.0 degrees \(GantryDetectorTilt {said}"
    assert re.search(message, source.remarks[0])


def test_steps_that_vary_are_evened_on_the_true_positions(tmp_path: Path):
    def uneven(number: int, dataset: Dataset) -> None:
        moved(number, 0, 0, [0, 0.2, -0.1, 0.25, 0.1, -0.2, 0.1, 0.1, 0][number])(number, dataset)
        store_ramp(dataset)

    source = read(written(tmp_path, TILTED, uneven))
    np.testing.assert_allclose(source.volume.array, ramp_value(grid_positions(source.volume.geometry)), atol=0.011)
    np.testing.assert_allclose(source.volume.geometry.affine, TILTED.geometry.affine, atol=1e-5)
    assert source.is_resampled
    assert "slices are 1.700 to 2.350 mm apart; the volume was interpolated linearly" in source.remarks[0]


def test_rounded_positions_are_no_reason_to_resample(tmp_path: Path):
    spec = SeriesSpec(shape=(9, 12, 10), slice_spacing=0.7031)

    def rounded(number: int, dataset: Dataset) -> None:
        dataset.ImagePositionPatient = [round(float(x), 2) for x in dataset.ImagePositionPatient]

    source = read(written(tmp_path, spec, rounded))
    assert not source.is_resampled
    np.testing.assert_allclose(source.volume.geometry.affine, spec.geometry.affine, atol=0.01)


def test_a_tilt_that_only_the_tag_tells_of_is_said_and_not_applied(tmp_path: Path):
    source = read(written(tmp_path, SMALL, lambda number, dataset: setattr(dataset, "GantryDetectorTilt", 12.0)))
    assert not source.is_resampled
    assert "says 12.0 degrees, but the slices lie straight" in source.remarks[0]
    one_slice = SeriesSpec(shape=(1, 12, 10))
    alone = read(written(tmp_path / "one", one_slice, lambda _, dataset: setattr(dataset, "GantryDetectorTilt", 12.0)))
    assert alone.remarks == ()


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("cosines", [((1, 0, 0), (0, 1, 0)), OBLIQUE])
def test_classic_and_enhanced_give_the_same_volume(tmp_path: Path, modality: str, cosines):
    spec = SeriesSpec(modality=modality, shape=(6, 20, 16), row_cosine=cosines[0], column_cosine=cosines[1])
    classic = read(written(tmp_path / "classic", spec))
    save_series([build_enhanced(spec)], tmp_path / "enhanced")
    enhanced = read(tmp_path / "enhanced")
    np.testing.assert_array_equal(enhanced.volume.array, classic.volume.array)
    np.testing.assert_array_equal(enhanced.volume.geometry.affine, classic.volume.geometry.affine)
    assert enhanced.frame_numbers == (1, 2, 3, 4, 5, 6)
    assert classic.frame_numbers == ()


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless, DeflatedExplicitVRLittleEndian])
def test_encoded_frames_of_one_object_are_told_apart(tmp_path: Path, syntax):
    spec = SeriesSpec(shape=(5, 20, 16), descending=True)
    dataset = build_enhanced(spec)
    if syntax.is_compressed and syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    save_series([dataset], tmp_path)
    source = read(tmp_path)
    np.testing.assert_array_equal(source.volume.array, phantom_value(grid_positions(spec.geometry)))
    assert source.frame_numbers == (5, 4, 3, 2, 1)


def test_the_real_enhanced_object_agrees_with_a_second_reader():
    source = read(ENHANCED_MR)
    (path,) = ENHANCED_MR.iterdir()
    image = SimpleITK.ReadImage(path)
    for index in permutations((0, 3, 7)):
        there = image.TransformPhysicalPointToIndex(source.volume.geometry.positions(np.array(index)).tolist())
        place = source.volume.geometry.indices(np.array(image.TransformIndexToPhysicalPoint(there)))
        np.testing.assert_allclose(place, index, atol=1e-4)
        assert source.volume.array[index] == pytest.approx(image[there], rel=1e-6)


def test_frames_whose_place_nothing_tells_are_refused(tmp_path: Path):
    dataset = build_enhanced(SMALL)
    first = build_datasets(SMALL)[0]
    del dataset.PerFrameFunctionalGroupsSequence
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        setattr(dataset, keyword, first[keyword].value)
    save_series([dataset], tmp_path)
    with pytest.raises(SeriesGeometryError, match="an image of 5 frames without functional groups"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("given", "step"), [({"SpacingBetweenSlices": 4.5, "SliceThickness": 3}, 4.5), ({"SliceThickness": 3}, 3.0)]
)
def test_a_single_slice_takes_its_depth_from_the_header(tmp_path: Path, given: dict[str, float], step: float):
    def change(number: int, dataset: Dataset) -> None:
        del dataset.SpacingBetweenSlices, dataset.SliceThickness
        for keyword, value in given.items():
            setattr(dataset, keyword, value)

    source = read(written(tmp_path, SeriesSpec(shape=(1, 12, 10)), change))
    assert source.volume.geometry.shape == (1, 12, 10)
    assert source.volume.geometry.spacing[0] == step


def test_a_single_slice_without_any_depth_is_refused(tmp_path: Path):
    def change(number: int, dataset: Dataset) -> None:
        dataset.SpacingBetweenSlices, dataset.SliceThickness = 0, None

    with pytest.raises(SeriesGeometryError, match="needs SpacingBetweenSlices or SliceThickness"):
        read(written(tmp_path, SeriesSpec(shape=(1, 12, 10)), change))


def inverted(number: int, dataset: Dataset) -> None:
    dataset.PhotometricInterpretation = "MONOCHROME1"


def test_hounsfield_units_do_not_depend_on_how_they_are_shown(tmp_path: Path):
    source = read(written(tmp_path, SMALL, inverted))
    np.testing.assert_array_equal(source.volume.array, phantom_value(grid_positions(SMALL.geometry)))
    assert "MONOCHROME1; HU are kept as they are" in source.remarks[0]


def test_inverted_mr_is_turned_to_the_sense_that_models_learn(tmp_path: Path):
    spec = SeriesSpec(modality="MR", shape=(3, 12, 10), rescale_slope=2.0, rescale_intercept=0.0)

    def change(number: int, dataset: Dataset) -> None:
        inverted(number, dataset)
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
        dataset.PixelData = np.arange(120, dtype="<u2").tobytes()

    source = read(written(tmp_path, spec, change))
    np.testing.assert_array_equal(source.volume.array[0].ravel(), 2.0 * (4095 - np.arange(120)))
    assert "values were turned round to MONOCHROME2" in source.remarks[0]


@pytest.mark.parametrize(("modality", "background"), [("CT", -1000.0), ("MR", 5.0)])
@pytest.mark.parametrize("padding", [{"PixelPaddingValue": 63536}, {"PixelPaddingValue": -2000}])
def test_padding_becomes_background(tmp_path: Path, modality: str, background: float, padding: dict[str, int]):
    stored = np.arange(5, 125, dtype="<i2")
    stored[:7] = -2000
    stored[7] = 5
    spec = SeriesSpec(modality=modality, shape=(3, 12, 10), rescale_intercept=0.0)

    def change(number: int, dataset: Dataset) -> None:
        for keyword, value in padding.items():
            dataset.add_new(keyword, "US" if value > 0 else "SS", value)
        dataset.PixelData = stored.tobytes()

    source = read(written(tmp_path, spec, change))
    expected = np.where(stored == -2000, background, stored)
    np.testing.assert_array_equal(source.volume.array[1].ravel(), expected)
    assert "pixels of PixelPaddingValue are set to" in source.remarks[0]


def test_a_range_of_padding_is_taken_out_as_a_whole(tmp_path: Path):
    def change(number: int, dataset: Dataset) -> None:
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        dataset.add_new("PixelPaddingRangeLimit", "SS", -1990)
        dataset.PixelData = np.arange(-2000, -1880, dtype="<i2").tobytes()

    spec = SeriesSpec(shape=(3, 12, 10), rescale_intercept=3000.0)
    array = read(written(tmp_path, spec, change)).volume.array[0].ravel()
    np.testing.assert_array_equal(array, [*[-1000] * 11, *range(1011, 1120)])


LIMITS = {
    "max_slices": (ReadLimits(max_slices=4), ResourceError, "5 slices, the limit is 4"),
    "max_volume_bytes": (ReadLimits(max_volume_bytes=2399), ResourceError, "5 x 12 x 10 voxels takes 2400 bytes"),
    "max_slice_pixels": (
        ReadLimits(max_slice_pixels=119),
        UnsupportedPixelDataError,
        "12 x 10 pixels exceeds the limit",
    ),
}


@pytest.mark.parametrize(("limits", "error", "message"), LIMITS.values(), ids=LIMITS.keys())
def test_what_exceeds_a_limit_is_refused_before_it_is_read(tmp_path: Path, limits, error, message):
    (series,) = index_study(written(tmp_path, SMALL)).series
    slices = tuple(plane for instance in series.instances for plane in slices_of(instance))
    with pytest.raises(error, match=message):
        read_volume(VolumeCandidate(series.series_instance_uid, "CT", slices), role="test", limits=limits)


@pytest.mark.parametrize(("thickness", "is_said"), [(1.5, True), (2.0, False)])
def test_slices_that_may_be_missing_regularly_are_said(tmp_path: Path, thickness: float, is_said: bool):
    def change(number: int, dataset: Dataset) -> None:
        dataset.SliceThickness = thickness

    source = read(written(tmp_path, SMALL, change))
    said = (
        "slices of 1.5 mm lie 3 mm apart, 1.5 mm between them were not imaged or sent; the slices are read as they are"
    )
    assert [remark.partition(": ")[2] for remark in source.remarks] == [said] * is_said
    assert source.volume.geometry.spacing[0] == pytest.approx(3)


def test_a_part_of_a_series_is_named_in_messages(tmp_path: Path):
    (series,) = index_study(written(tmp_path, SMALL)).series
    slices = [slices_of(instance)[0] for instance in series.instances if instance.header.InstanceNumber != 2]
    candidate = VolumeCandidate("1.2.3", "MR", tuple(slices), label="echo 2")
    with pytest.raises(SeriesGeometryError, match=r"series 1\.2\.3 \(echo 2\): "):
        read_volume(candidate, role="test")


def test_the_digest_is_of_the_pixels_and_the_instances_not_of_their_order(tmp_path: Path):
    first = read(written(tmp_path / "a", SMALL)).digest
    assert read(written(tmp_path / "b", SMALL)).digest == first
    lines = sorted(
        f"{dataset.SOPInstanceUID} {blake3(dataset.PixelData).hexdigest()}" for dataset in build_datasets(SMALL)
    )
    assert first == blake3("\n".join(lines).encode()).hexdigest()
    change = change_all(lambda number, dataset: dataset.__setattr__("PixelData", dataset.PixelData[::-1]))
    change(tmp_path / "b")
    assert read(tmp_path / "b").digest != first


def test_the_same_frames_in_another_order_have_another_digest(tmp_path: Path):
    dataset = build_enhanced(SMALL)
    save_series([dataset], tmp_path / "a")
    frames = np.frombuffer(dataset.PixelData, "<i2").reshape(SMALL.shape)
    dataset.PixelData = frames[::-1].tobytes()
    save_series([dataset], tmp_path / "b")
    assert read(tmp_path / "a").digest != read(tmp_path / "b").digest


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
