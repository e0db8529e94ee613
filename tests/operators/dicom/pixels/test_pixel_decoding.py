from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless

from operators.dicom.pixels.pixel_decoding import decode_frame
from operators.dicom.pixels.pixel_format import read_pixel_format
from operators.dicom.pixels.stored_pixels import locate_pixels
from operators.dicom.study.header_files import read_header
from operators.dicom.study.read_limits import DEFAULT_LIMITS
from operators.dicom.study.study_index import Instance
from operators.errors import UnsupportedPixelDataError
from phantoms import SeriesSpec, build_datasets, save_series

DATA = Path(__file__).parents[3] / "data"
MR_ENCODINGS = sorted((DATA / "mr_one_image_nine_encodings").iterdir())
CT_SLICE = DATA / "ct_one_slice_many_syntaxes"
LOSSLESS = ("BigEndianExplicit", "Deflated", "JPEG2000LosslessOnly", "JPEGLSLossless", "Process14SV1", "RLELossless")
LOSSLESS_OTHER_PREDICTOR = "JPEGProcess14TransferSyntax"


def decode(path: Path) -> np.ndarray:
    instance = Instance(path, *read_header(path))
    stored = locate_pixels(instance, read_pixel_format(instance.header, DEFAULT_LIMITS))
    return decode_frame(stored, stored.read_frame(0)).values


def ct_slice(word: str) -> Path:
    (path,) = CT_SLICE.glob(f"*{word}*")
    return path


def hounsfield(path: Path) -> np.ndarray:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return decode(path) * float(header.RescaleSlope) + float(header.RescaleIntercept)


@pytest.mark.parametrize("path", MR_ENCODINGS, ids=[path.stem for path in MR_ENCODINGS])
def test_nine_encodings_of_one_image_give_the_same_pixels(path: Path):
    pixels = decode(path)
    assert int(pixels.astype(np.int64).sum()) == 38_036_663
    np.testing.assert_array_equal(pixels, pydicom.dcmread(MR_ENCODINGS[0]).pixel_array)


@pytest.mark.parametrize("word", [*LOSSLESS, LOSSLESS_OTHER_PREDICTOR])
def test_lossless_encodings_of_a_ct_slice_agree_with_a_second_reader(word: str):
    reference = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(ct_slice("Deflated")))[0]
    np.testing.assert_array_equal(hounsfield(ct_slice(word)), reference)


@pytest.mark.parametrize(
    ("word", "tolerance_hu"),
    # JPEG's processes quantise: 8 bits over this slice's range make steps of 32 HU, 12 bits steps of 2.
    [("JPEG2000Transfer", 4), ("JPEGLSLossy", 3), ("JPEGProcess1Transfer", 64), ("JPEGProcess2_4", 16)],
)
def test_lossy_encodings_stay_near_the_original(word: str, tolerance_hu: float):
    difference = np.abs(hounsfield(ct_slice(word)) - hounsfield(ct_slice("Deflated")))
    assert np.percentile(difference, 99) <= tolerance_hu


@pytest.mark.parametrize(
    ("word", "plugin"),
    [
        ("JPEG2000Transfer", "gdcm"),
        ("JPEG2000Transfer", "pylibjpeg"),
        ("JPEGLSLossy", "gdcm"),
        ("JPEGLSLossy", "pyjpegls"),
        ("JPEGProcess1Transfer", "gdcm"),
        ("JPEGProcess1Transfer", "pillow"),
    ],
)
def test_lossy_encodings_agree_with_a_second_decoder(word: str, plugin: str):
    array = pydicom.pixels.pixel_array(ct_slice(word), decoding_plugin=plugin)
    np.testing.assert_array_equal(decode(ct_slice(word)), array)


@pytest.mark.parametrize("word", ["JPEGProcess6_8", "JPEGProcess10_12"])
def test_retired_processes_are_refused_by_name(word: str):
    name = pydicom.dcmread(ct_slice(word), stop_before_pixels=True).file_meta.TransferSyntaxUID.name
    with pytest.raises(UnsupportedPixelDataError, match=name.split("(")[1][:-1]):
        decode(ct_slice(word))


def test_an_unknown_syntax_is_refused_by_its_uid(tmp_path: Path):
    path = changed(tmp_path, lambda dataset: None, source=ct_slice("JPEGLSLossless"), syntax="1.2.3.4.5")
    with pytest.raises(UnsupportedPixelDataError, match=r"1\.2\.3\.4\.5"):
        decode(path)


def changed(
    folder: Path, change: Callable[[Dataset], None], *, source: Path | None = None, syntax: str | None = None
) -> Path:
    if source:
        dataset = pydicom.dcmread(source)
    else:
        dataset = build_datasets(SeriesSpec(shape=(1, 12, 10)))[0]
    change(dataset)
    if syntax:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    path = folder / "changed.dcm"
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return path


def of_bits(**values: int) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


HEADERS_THAT_LIE = {
    "more rows than pixels": (of_bits(Rows=13), r"expected 260 bytes of pixels for 13 x 10 of 16 bits, found 240"),
    "fewer rows": (of_bits(Rows=6), "expected 120 bytes"),
    "no rows": (of_bits(Rows=0), "expected pixels, got 0 rows"),
    "65,535 squared": (of_bits(Rows=65535, Columns=65535), "65535 x 65535 pixels exceeds the limit"),
    "bits stored": (of_bits(BitsStored=17), "bits that do not fit: 16 allocated, 17 stored, high bit 15"),
    "high bit": (of_bits(HighBit=16), "high bit 16"),
    "packed bits": (of_bits(BitsAllocated=12, BitsStored=12, HighBit=11), "12 allocated"),
    "colour": (of_bits(SamplesPerPixel=3), "expected one sample of MONOCHROME1 or MONOCHROME2 a pixel, got 3"),
    "frames": (of_bits(NumberOfFrames=2), r"12 x 10 x 2 frames of 16 bits, found 240"),
    "values beyond the bits": (of_bits(BitsStored=8, HighBit=7), "bits that do not fit: values from"),
    "no bits": (lambda dataset: dataset.__delattr__("BitsStored"), "expected one whole number in BitsStored, got none"),
    "no pixels": (lambda dataset: dataset.__delattr__("PixelData"), "a slice has no pixel data"),
}


@pytest.mark.parametrize(("change", "message"), HEADERS_THAT_LIE.values(), ids=HEADERS_THAT_LIE.keys())
@pytest.mark.filterwarnings("ignore")
def test_headers_that_do_not_fit_their_pixels_are_refused_with_numbers(tmp_path: Path, change, message):
    with pytest.raises(UnsupportedPixelDataError, match=message):
        decode(changed(tmp_path, change))


def test_a_codestream_of_another_size_never_reaches_the_decoder(tmp_path: Path):
    encoded = next(generate_frames(pydicom.dcmread(ct_slice("JPEG2000Lossless")).PixelData, number_of_frames=1))
    bomb = encoded[:8] + b"\0\0\xff\xff" * 2 + encoded[16:]

    def swell(dataset: Dataset) -> None:
        dataset.PixelData = encapsulate([bomb])

    path = changed(tmp_path, swell, source=ct_slice("JPEG2000Lossless"), syntax=JPEG2000Lossless)
    with pytest.raises(UnsupportedPixelDataError, match="expected an image of 512x512x1 .* found 65535x65535x1"):
        decode(path)


@pytest.mark.parametrize("word", ["JPEG2000Lossless", "JPEGLSLossless", "Process14SV1", "Process2_4", "RLELossless"])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
@pytest.mark.filterwarnings("ignore")
def test_a_codestream_that_is_cut_short_is_refused(tmp_path: Path, word: str, share: float):
    def cut(dataset: Dataset) -> None:
        encoded = next(generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = encapsulate([encoded[: int(share * len(encoded))]])

    with pytest.raises(UnsupportedPixelDataError, match="cut short|found something else"):
        decode(changed(tmp_path, cut, source=ct_slice(word)))


@pytest.mark.parametrize(
    "word", ["JPEG2000Lossless", "JPEGLSLossless", "Process14SV1", "Process14T", "Process1T", "Process2_4"]
)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
@pytest.mark.filterwarnings("ignore")
def test_half_an_image_with_an_end_marker_is_refused(tmp_path: Path, word: str, share: float):
    def lose_the_rest(dataset: Dataset) -> None:
        encoded = next(generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = encapsulate([encoded[: int(share * len(encoded))].rstrip(b"\xff") + b"\xff\xd9"])

    with pytest.raises(UnsupportedPixelDataError, match="cut short"):
        decode(changed(tmp_path, lose_the_rest, source=ct_slice(word)))


@pytest.mark.parametrize("stream_is_signed", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("is_signed", [False, True])
def test_the_sign_is_the_headers_whatever_the_codestream_says(
    tmp_path: Path, syntax: UID, bits: int, stream_is_signed: bool, is_signed: bool
):
    pattern = np.linspace(0, (1 << bits) - 1, 120).astype("<u2").reshape(12, 10)
    unused = 16 - bits
    meant = (pattern << unused).view("<i2" if is_signed else "<u2") >> unused
    if syntax == JPEGLSLossless:
        encoded = imagecodecs.jpegls_encode(pattern)
    else:
        written = (pattern << unused).view("<i2" if stream_is_signed else "<u2") >> unused
        encoded = imagecodecs.jpeg2k_encode(written, level=0, reversible=True, bitspersample=bits, codecformat="j2k")

    def encode(dataset: Dataset) -> None:
        of_bits(BitsStored=bits, HighBit=bits - 1, PixelRepresentation=int(is_signed))(dataset)
        dataset.PixelData = encapsulate([encoded])

    np.testing.assert_array_equal(decode(changed(tmp_path, encode, syntax=syntax)), meant)


@pytest.mark.parametrize(
    ("word", "bits"), [("Process1Transfer", 16), ("Process14SV1", 8), ("Process2_4", 8), ("JPEG2000Lossless", 8)]
)
def test_a_codestream_with_other_bits_never_reaches_the_decoder(tmp_path: Path, word: str, bits: int):
    change = of_bits(BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1)
    with pytest.raises(UnsupportedPixelDataError, match=f"bits that do not fit: {bits} allocated, but samples of"):
        decode(changed(tmp_path, change, source=ct_slice(word)))


def test_fewer_bits_than_a_jpeg_holds_are_no_end_of_the_process(tmp_path: Path):
    path = changed(tmp_path, of_bits(BitsStored=7, HighBit=6), source=ct_slice("Process1Transfer"))
    with pytest.raises(UnsupportedPixelDataError, match="values from 30 to 168, but 7 bits stored"):
        decode(path)


def test_bits_above_the_stored_ones_are_taken_off_where_an_overlay_explains_them(tmp_path: Path):
    stored = np.arange(120, dtype="<u2")

    def overlay(dataset: Dataset) -> None:
        of_bits(BitsStored=12, HighBit=11, PixelRepresentation=0)(dataset)
        dataset.PixelData = (stored | 0x8000).tobytes()
        dataset.add_new(0x60000102, "US", 15)

    np.testing.assert_array_equal(decode(changed(tmp_path, overlay)).ravel(), stored)


def test_a_sign_that_was_not_carried_into_the_unused_bits_is_carried(tmp_path: Path):
    stored = np.arange(-60, 60, dtype="<i2")

    def unextended(dataset: Dataset) -> None:
        of_bits(BitsStored=12, HighBit=11, PixelRepresentation=1)(dataset)
        dataset.PixelData = (stored & 0x0FFF).tobytes()

    np.testing.assert_array_equal(decode(changed(tmp_path, unextended)).ravel(), stored)


def test_pixels_in_the_upper_bits_are_moved_down(tmp_path: Path):
    stored = np.arange(-60, 60, dtype="<i2")

    def upper(dataset: Dataset) -> None:
        of_bits(BitsStored=12, HighBit=15, PixelRepresentation=1)(dataset)
        dataset.PixelData = (stored << 4).tobytes()

    np.testing.assert_array_equal(decode(changed(tmp_path, upper)).ravel(), stored)


@pytest.mark.parametrize(("bits", "kind"), [(8, "u1"), (16, "<u2"), (32, "<i4")])
def test_other_widths_are_read(tmp_path: Path, bits: int, kind: str):
    stored = np.arange(120, dtype=kind)

    def widen(dataset: Dataset) -> None:
        signed = int(kind[-2] == "i")
        of_bits(BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=signed)(dataset)
        dataset.PixelData = stored.tobytes()
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"

    np.testing.assert_array_equal(decode(changed(tmp_path, widen)).ravel(), stored)


def test_elements_after_the_pixels_do_not_hide_them(tmp_path: Path):
    def trailing(dataset: Dataset) -> None:
        dataset.DataSetTrailingPadding = b"\0" * 300

    plain = decode(changed(tmp_path, lambda dataset: None))
    np.testing.assert_array_equal(decode(changed(tmp_path, trailing)), plain)


def test_eight_bits_in_big_endian_words_are_not_guessed(tmp_path: Path):
    dataset = build_datasets(SeriesSpec(shape=(1, 12, 10)))[0]
    of_bits(BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)(dataset)
    dataset.PixelData = bytes(120)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    (path,) = save_series([dataset], tmp_path)
    with pytest.raises(UnsupportedPixelDataError, match="8 bit pixels in Explicit VR Big Endian are not read"):
        decode(path)
