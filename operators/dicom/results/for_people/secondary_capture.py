"""Key images as Secondary Captures: what every viewer can show, however old."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from operators.dicom.results.for_people.key_images import KeyImage
from operators.dicom.results.for_people.picture import draw_key_image, sides
from operators.dicom.results.references import source_image_reference
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.source_headers import copy_body_part, copy_character_set, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID, stamp

SERIES_NUMBER = 9301
_SERIES_KEY = "SC"


def build_secondary_captures(key_images: Sequence[KeyImage], *, run: RunContext) -> tuple[Dataset, ...]:
    """One RGB Secondary Capture Image (PS3.3 A.8.1) for each key image, all of one series."""
    return tuple(_capture(key_image, number, run) for number, key_image in enumerate(key_images, start=1))


def _capture(key_image: KeyImage, number: int, run: RunContext) -> Dataset:
    (header,), _ = padded_headers([key_image.source.headers[key_image.slice_index]])
    dataset: Dataset = hd.sc.SCImage.from_ref_dataset(
        header,
        np.asarray(draw_key_image(key_image)),
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=sides(key_image.source.volume.geometry.directions),
        series_instance_uid=run.identity.uid(_SERIES_KEY),
        series_number=SERIES_NUMBER,
        sop_instance_uid=UNSTAMPED_UID,
        instance_number=number,
        manufacturer=run.provenance.manufacturer,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        contributing_equipment=[run.provenance.contributing_equipment()],
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        series_description=run.provenance.series_description("AI key images"),
        specific_character_set=None,
    )
    copy_character_set(header, dataset)
    # The time of the run stands in Content Date; highdicom takes the clock's here.
    del dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture
    dataset.ConversionType = hd.sc.ConversionTypeValues.WSD.value
    copy_body_part(header, dataset)
    dataset.BurnedInAnnotation = "YES"
    dataset.ImageComments = run.provenance.use_statement
    frames = key_image.source.frame_numbers
    frame = frames[key_image.slice_index] if frames else None
    dataset.SourceImageSequence = [source_image_reference(header, frame)]
    stamp(dataset, run, series_key=_SERIES_KEY)
    return dataset
