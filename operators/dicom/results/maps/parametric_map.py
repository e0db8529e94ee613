"""What spoke for a finding, token by token, as a Parametric Map."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy.special import expit

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.frame_planes import plane_attributes, set_slice_measures
from operators.dicom.results.references import source_image_reference
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.source_headers import copy_character_set, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID, stamp
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import BODY_REGIONS, NO_UNITS, PROBABILITY, UNSPECIFIED_CALCULATION
from operators.domain.finding import Evidence, Finding

SERIES_NUMBER = 9501


def build_parametric_map(
    source: SourceSeries,
    evidence: Evidence,
    number: int,
    *,
    run: RunContext,
) -> Dataset:
    """A Parametric Map (PS3.3 A.75), float32, on the encoder's own token grid: no detail that was never computed.

    Values are the tokens' probabilities before calibration, from 0 to 1, so that maps of all studies look alike.

    number : 1, 2, ... of the maps of this series
    """
    headers, _ = padded_headers([source.multi_frame] if source.multi_frame else source.headers)
    set_slice_measures(headers[0], float(source.volume.geometry.spacing[0]))
    series_key = f"PM:{source.series_instance_uid}"
    description = run.provenance.series_description("AI evidence map")
    dataset: Dataset = hd.pm.ParametricMap(
        source_images=headers,
        pixel_array=np.ascontiguousarray(expit(evidence.volume.array), np.float32),
        series_instance_uid=run.identity.uid(series_key),
        series_number=SERIES_NUMBER,
        sop_instance_uid=UNSTAMPED_UID,
        instance_number=number,
        manufacturer=run.provenance.manufacturer,
        manufacturer_model_name=run.provenance.model_name,
        software_versions=run.provenance.software_versions,
        device_serial_number=run.provenance.device_serial_number,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_values_as_stored(evidence.finding.name)],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1.0)],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label="AI_RESEARCH",
        content_description=f"Evidence: {evidence.finding.name}"[:64],
        content_creator_name=f"{run.provenance.manufacturer}^",
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        contributing_equipment=[run.provenance.contributing_equipment()],
        series_description=description,
        specific_character_set=None,
        **plane_attributes(evidence.volume.geometry),
    )
    copy_character_set(headers[0], dataset)
    dataset.ImageComments = run.provenance.use_statement
    _set_anatomy(dataset, evidence.finding)
    _set_derivation(dataset, headers)
    _reverse_frames(dataset)
    stamp(dataset, run, series_key=series_key)
    return dataset


def _set_anatomy(dataset: Dataset, finding: Finding) -> None:
    """Frame Anatomy (PS3.3 C.7.6.16.2.8), without which dcmqi ends in a crash. The map has no side of its own."""
    item = Dataset()
    item.FrameLaterality = "U"
    item.AnatomicRegionSequence = [coded_concept(finding.site or BODY_REGIONS["other"])]
    dataset.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [item]


def _set_derivation(dataset: Dataset, headers: Sequence[Dataset]) -> None:
    """Derivation Image (PS3.3 C.7.6.16.2.6): a token has seen far more than the slice that it lies on."""
    item = Dataset()
    item.DerivationCodeSequence = [coded_concept(UNSPECIFIED_CALCULATION)]
    item.SourceImageSequence = [source_image_reference(header) for header in headers]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        # highdicom names the slice in the same plane, where there is one.
        group.pop("DerivationImageSequence", None)
    dataset.SharedFunctionalGroupsSequence[0].DerivationImageSequence = [item]


def _reverse_frames(dataset: Dataset) -> None:
    """Frames along the cross product of row and column cosines, as ITK lays out slices.

    highdicom sorts them the other way, which dcmqi, that reads maps in the order of the file, shows mirrored.
    """
    groups = list(reversed(dataset.PerFrameFunctionalGroupsSequence))
    for number, group in enumerate(groups, start=1):
        group.FrameContentSequence[0].DimensionIndexValues = number
    dataset.PerFrameFunctionalGroupsSequence = groups
    frames = np.frombuffer(dataset.FloatPixelData, "<f4").reshape(len(groups), -1)
    dataset.FloatPixelData = frames[::-1].tobytes()


def _values_as_stored(finding: str) -> hd.pm.RealWorldValueMapping:
    return hd.pm.RealWorldValueMapping(
        lut_label="probability",
        lut_explanation=f"Uncalibrated probability: {finding}"[:64],
        unit=coded_concept(NO_UNITS),
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=coded_concept(PROBABILITY),
    )
