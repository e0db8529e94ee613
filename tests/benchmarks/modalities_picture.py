"""How the sarcoma patients' CT and MR lie on one another in the frame that the collection gives them.

    python tests/benchmarks/modalities_picture.py DATA docs/images/registration-ct-mr.webp

An MR slice of each patient of the table in docs/registration.md, three cuts; the CT's bone is outlined in red, its fat
and skin against muscle and air in green.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from registration_accuracy import dicom, isotropic, values_at
from scipy import ndimage

from operators.domain.volume import Volume

PATIENTS = ("001", "005", "010", "004", "014")
POINTS = 110
SIDE = 240
LEVELS_HU = ((250.0, (255, 70, 70)), (-40.0, (0, 220, 0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    rows = [_row(arguments.data / "sts" / f"STS_{patient}", patient) for patient in PATIENTS]
    Image.fromarray(np.vstack(rows)).save(arguments.picture, quality=80)


def _row(folder: Path, patient: str) -> NDArray[np.uint8]:
    ct, mr = isotropic(dicom(folder / "CT"), POINTS), isotropic(dicom(folder / "MR_T1"), POINTS)
    places = mr.geometry.positions(np.moveaxis(np.indices(mr.geometry.shape), 0, -1)).reshape(-1, 3)
    hu = values_at(Volume(ct.array, ct.geometry), places).reshape(mr.geometry.shape)
    grey = np.clip(mr.array / np.percentile(mr.array, 99.5), 0, 1)
    cuts = [(axis, int(0.5 * size)) for axis, size in enumerate(grey.shape)]
    return np.hstack([_outlined(grey.take(k, axis), hu.take(k, axis), patient) for axis, k in cuts])


def _outlined(grey: NDArray[np.float64], hu: NDArray[np.float64], text: str) -> NDArray[np.uint8]:
    picture = np.repeat((grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    smooth = ndimage.gaussian_filter(hu, 0.7)
    for level, colour in LEVELS_HU:
        within = smooth > level
        picture[within & ~ndimage.binary_erosion(within)] = colour
    image = Image.fromarray(picture).resize((SIDE, SIDE))
    ImageDraw.Draw(image).text((4, 4), text, fill=(255, 255, 0))
    return np.asarray(image)


if __name__ == "__main__":
    main()
