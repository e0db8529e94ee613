from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import apply_voi_lut

from companion_cases import case_key_images
from operators.dicom.results.for_people.picture import draw_key_image, sides, windowed
from phantoms import AXIAL, CORONAL, OBLIQUE, SAGITTAL, SeriesSpec, build_source_series, grid_positions, phantom_mask
from result_cases import build_case
from series_cases import raw

OUTLINE = np.array([255, 200, 0])


def picture_of(**attributes):
    case = build_case(build_source_series(SeriesSpec(**attributes)))
    (image,) = case_key_images(case)
    return case, image, np.asarray(draw_key_image(image), int)


@pytest.mark.parametrize("pixel_spacing", [(1.2, 0.9), (0.7, 2.0)])
def test_the_outline_goes_round_the_mass_in_millimetres(pixel_spacing):
    case, image, picture = picture_of(pixel_spacing=pixel_spacing)
    geometry = case.source.volume.geometry
    extent_mm = np.array(geometry.shape[1:]) * geometry.spacing[1:]
    mm_per_pixel = extent_mm / picture.shape[:2]
    assert mm_per_pixel[0] == pytest.approx(mm_per_pixel[1], rel=0.01)  # square whatever the source's pixels are
    rows, columns = np.nonzero(np.abs(picture - OUTLINE).sum(axis=-1) < 12)
    inside = np.argwhere(phantom_mask(grid_positions(geometry)[image.slice_index], "mass"))
    first_mm, last_mm = inside.min(axis=0) * geometry.spacing[1:], (inside.max(axis=0) + 1) * geometry.spacing[1:]
    np.testing.assert_allclose(np.array([rows.min(), columns.min()]) * mm_per_pixel, first_mm, atol=0.4)
    np.testing.assert_allclose(np.array([rows.max(), columns.max()]) * mm_per_pixel, last_mm, atol=0.4)


def test_a_finding_without_a_mask_is_ringed():
    _, image, _ = picture_of()
    bare = np.asarray(draw_key_image(replace(image, outline=None)), int)
    rows, columns = np.nonzero(np.abs(bare - OUTLINE).sum(axis=-1) < 12)
    scale = 768 / image.source.volume.geometry.shape[2]
    assert (columns.min() + columns.max()) / 2 == pytest.approx(image.point[0] * scale, abs=2)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", None])
@pytest.mark.parametrize(("centre", "width"), [([40, 300], [400, 1500]), (-600, 1500), (0, 6), (50, 2), (50, 1)])
def test_the_first_window_shows_what_pydicom_shows(centre, width, function):
    values = np.arange(-1400, 300, dtype=np.int16)[None]
    header = Dataset()
    header.BitsStored, header.PixelRepresentation, header.PhotometricInterpretation = 16, 1, "MONOCHROME2"
    header.WindowCenter, header.WindowWidth = centre, width
    if function:
        header.VOILUTFunction = function
    shown = (apply_voi_lut(values, header) + 32768) / 65535 * 255
    np.testing.assert_allclose(windowed(values.astype(np.float32), header), shown, atol=0.51)


def test_without_a_window_the_values_themselves_span_the_greys():
    values = np.linspace(0, 1000, 101, dtype=np.float32)[None]
    header = Dataset()
    header.WindowCenter = None
    header.file_meta = FileMetaDataset()
    raw(header, "WindowWidth", b"wide")
    assert (windowed(values, header).min(), windowed(values, header).max()) == (0, 255)
    assert windowed(np.full((2, 2), 7, np.float32), Dataset()).max() == 0


@pytest.mark.parametrize(
    ("plane", "expected"), [(AXIAL, ("L", "P")), (SAGITTAL, ("P", "F")), (CORONAL, ("L", "F")), (OBLIQUE, ("L", "H"))]
)
def test_the_sides_are_where_rows_and_columns_lead(plane, expected):
    geometry = SeriesSpec(row_cosine=plane[0], column_cosine=plane[1]).geometry
    assert sides(geometry.directions) == expected


def test_nothing_of_the_patient_is_drawn():
    pictures = [
        picture_of(patient_name=name, patient_id=name, series_description=name)[2] for name in ("First^A", "Second^B")
    ]
    np.testing.assert_array_equal(*pictures)


def test_words_stand_in_the_corners():
    """The blank phantom background is black, so any white there is writing."""
    _, _, picture = picture_of()
    white = picture.min(axis=-1) > 200
    assert white[:40, :200].any()
    assert white[-40:, :260].any()
