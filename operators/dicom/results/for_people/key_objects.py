"""Key Object Selection: the short way from the study list to the slices that matter."""

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.for_people.key_images import KeyImage
from operators.dicom.results.references import distinct_instances
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.source_headers import copy_character_set, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID, stamp
from operators.domain.concepts import OF_INTEREST

SERIES_NUMBER = 9201
_SERIES_KEY = "KO"


def build_key_objects(
    key_images: Sequence[KeyImage],
    results: Sequence[Dataset],
    *,
    run: RunContext,
) -> Dataset:
    """A Key Object Selection Document (PS3.3 A.35.4, TID 2010) of key images and the results that explain them.

    results : SR and SEG of the same study
    """
    if not key_images:
        raise ValueError("key objects: expected at least one key image, got none")
    frames = _frames(key_images)
    headers, _ = padded_headers(distinct_instances(_headers(key_images)))
    selection = hd.ko.KeyObjectSelection(
        coded_concept(OF_INTEREST),
        referenced_objects=[*headers, *results],
        observer_device_context=run.provenance.device_observer(),
        description=f"Slices with AI findings. {run.provenance.use_statement}",
    )
    _name_frames(selection, frames)
    dataset: Dataset = hd.ko.KeyObjectSelectionDocument(
        evidence=[*headers, *results],
        content=selection,
        series_instance_uid=run.identity.uid(_SERIES_KEY),
        series_number=SERIES_NUMBER,
        sop_instance_uid=UNSTAMPED_UID,
        instance_number=1,
        manufacturer=run.provenance.manufacturer,
        contributing_equipment=[run.provenance.contributing_equipment()],
        series_description=run.provenance.series_description("AI key images"),
        specific_character_set=None,
    )
    copy_character_set(headers[0], dataset)
    stamp(dataset, run, series_key=_SERIES_KEY)
    return dataset


def _headers(key_images: Sequence[KeyImage]) -> list[Dataset]:
    return [image.source.headers[image.slice_index] for image in key_images]


def _frames(key_images: Sequence[KeyImage]) -> dict[str, list[int]]:
    """The frames to look at, by multi-frame instance."""
    frames: dict[str, list[int]] = {}
    for image, header in zip(key_images, _headers(key_images), strict=True):
        if image.source.frame_numbers:
            frames.setdefault(str(header.SOPInstanceUID), []).append(image.source.frame_numbers[image.slice_index])
    return {uid: sorted(set(numbers)) for uid, numbers in frames.items()}


def _name_frames(selection: hd.ko.KeyObjectSelection, frames: dict[str, list[int]]) -> None:
    """highdicom refers to whole instances."""
    for item in selection[0].ContentSequence:
        for reference in item.get("ReferencedSOPSequence", ()):
            if reference.ReferencedSOPInstanceUID in frames:
                reference.ReferencedFrameNumber = frames[reference.ReferencedSOPInstanceUID]
