"""A key image as people see it: windowed, with the outline, a label, the sides of the patient and the use statement."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from operators.dicom.results.for_people.key_images import KeyImage
from operators.dicom.study.header_values import number_of, text_of
from operators.dicom.volumes.slice_masks import values_on_slice

BURNED_IN_STATEMENT = "RESEARCH USE ONLY"
_LONGEST_SIDE = 768
_OUTLINE_COLOR = (255, 200, 0)
_TEXT_COLOR = (255, 255, 255)


def draw_key_image(key_image: KeyImage) -> Image.Image:
    """RGB, square pixels whatever the source's are, the longest side 768 pixels. It names no patient."""
    source, index = key_image.source, key_image.slice_index
    picture, scale = _square_pixels(
        windowed(values_on_slice(source, index), source.headers[index]),
        source.volume.geometry.spacing[1:],
    )
    draw = ImageDraw.Draw(picture)
    if key_image.outline is None:
        column, row = np.array(key_image.point) * scale
        draw.circle((float(column), float(row)), 14, outline=_OUTLINE_COLOR, width=2)
    else:
        corners = [(float(column), float(row)) for column, row in key_image.outline * scale]
        draw.line(corners, fill=_OUTLINE_COLOR, width=2)
    _write_words(draw, picture.size, caption=key_image.finding.name, sides=sides(source.volume.geometry.directions))
    return picture


def windowed(values: NDArray[np.float32], header: Dataset) -> NDArray[np.uint8]:
    """(H, W) grey values by the header's first window, or by the slice's own range."""
    low, high = _window(header) or (float(np.percentile(values, 1)), float(np.percentile(values, 99)))
    grey = np.clip((values - low) / max(high - low, 1e-6), 0.0, 1.0) * 255.0
    return np.asarray(np.rint(grey), np.uint8)


def sides(directions: NDArray[np.float64]) -> tuple[str, str]:
    """Where rows and where columns lead: R, L, A, P, H or F, the nearest of them in an oblique slice.

    directions : (3, 3) unit vectors in LPS; columns 1 and 2 are the ways the row and column index grow
    """
    return _side(directions[:, 2]), _side(directions[:, 1])


def _window(header: Dataset) -> tuple[float, float] | None:
    """The darkest and the brightest value of LINEAR and LINEAR_EXACT (PS3.3 C.11.2.1.2.1 and C.11.2.1.3.2)."""
    centre, width = number_of(header, "WindowCenter"), number_of(header, "WindowWidth")
    if centre is None or width is None or width <= 0:
        return None
    if text_of(header, "VOILUTFunction") == "LINEAR_EXACT":
        return centre - width / 2, centre + width / 2
    reach = max(width - 1, 0.0) / 2
    return centre - 0.5 - reach, centre - 0.5 + reach


def _square_pixels(grey: NDArray[np.uint8], spacing: NDArray[np.float64]) -> tuple[Image.Image, NDArray[np.float64]]:
    """The picture, and its pixels for each (column, row) of the slice."""
    shape_mm = np.array(grey.shape) * spacing
    rows, columns = (max(round(float(side)), 1) for side in shape_mm / shape_mm.max() * _LONGEST_SIDE)
    picture = Image.fromarray(grey).resize((columns, rows), Image.Resampling.BILINEAR).convert("RGB")
    return picture, np.array([columns / grey.shape[1], rows / grey.shape[0]])


def _write_words(draw: ImageDraw.ImageDraw, size: tuple[int, int], *, caption: str, sides: tuple[str, str]) -> None:
    width, height = size
    middle_x, middle_y = width / 2, height / 2
    right, bottom = sides
    words = (
        # word, where, which point of the text lies there (Pillow's anchors)
        (caption, (10, 10), "la"),
        (BURNED_IN_STATEMENT, (10, height - 10), "ld"),
        (right, (width - 10, middle_y), "rm"),
        (_OPPOSITE[right], (10, middle_y), "lm"),
        (bottom, (middle_x, height - 10), "md"),
        (_OPPOSITE[bottom], (middle_x, 10), "ma"),
    )
    font = ImageFont.load_default(20)
    for word, place, anchor in words:
        draw.text(place, word, fill=_TEXT_COLOR, font=font, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "H": "F", "F": "H"}


def _side(direction: NDArray[np.float64]) -> str:
    axis = int(np.argmax(np.abs(direction)))
    towards = "LPH"[axis]
    return towards if direction[axis] > 0 else _OPPOSITE[towards]
