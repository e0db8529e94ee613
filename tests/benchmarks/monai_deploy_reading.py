"""Seconds that MONAI Deploy's operators take from a folder to a float32 volume: ``monai_deploy_reading.py FOLDER``.

For an interpreter with the App SDK and MONAI, which may lie in different places; it knows nothing of this project.
"""

import json
import logging
import sys
import time
from pathlib import Path
from pkgutil import extend_path

import monai
import numpy as np

monai.__path__ = extend_path(monai.__path__, monai.__name__)

from monai.deploy.core import Fragment  # noqa: E402
from monai.deploy.core.domain.dicom_series_selection import SelectedSeries, StudySelectedSeries  # noqa: E402
from monai.deploy.operators import DICOMDataLoaderOperator, DICOMSeriesToVolumeOperator  # noqa: E402


def read(folder: Path) -> np.ndarray:
    fragment = Fragment()
    loader = DICOMDataLoaderOperator(fragment, input_folder=folder, name="loader")
    converter = DICOMSeriesToVolumeOperator(fragment, name="converter")
    (study,) = loader.load_data_to_studies(folder)
    selected = StudySelectedSeries(study)
    for series in study.get_all_series():
        selected.add_selected_series(SelectedSeries("all", series))
    image = converter.convert_to_image([selected])
    return image.asnumpy().astype(np.float32)


logging.disable(logging.CRITICAL)
place = Path(sys.argv[1])
read(place)
start = time.perf_counter()
volume = read(place)
sys.stdout.write("\n" + json.dumps(time.perf_counter() - start) + "\n")
