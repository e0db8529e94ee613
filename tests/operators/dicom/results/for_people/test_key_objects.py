import numpy as np
import pydicom
import pytest

from companion_cases import key_objects, results_of
from conformance_matrix import case_of
from operators.dicom.results.for_people.key_objects import build_key_objects
from phantoms import BODIES
from result_cases import PROVENANCE, RUN, dsrdump, save

CENTRE = np.array(BODIES["mass"][0])


def references(dataset):
    """SOP Instance UID to frame numbers, by value type."""
    items = [item for item in dataset.ContentSequence if "ReferencedSOPSequence" in item]
    return {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): (
            item.ValueType,
            item.ReferencedSOPSequence[0].get("ReferencedFrameNumber"),
        )
        for item in items
    }


def test_it_points_at_the_slice_through_the_mass_and_at_report_and_segmentation(tmp_path):
    case = case_of("CT oblique")
    dataset = pydicom.dcmread(save(key_objects(case), tmp_path))
    normal = case.source.volume.geometry.directions[:, 0]
    nearest = min(
        case.source.headers,
        key=lambda header: abs((np.array(header.ImagePositionPatient, float) - CENTRE) @ normal),
    )
    report, segmentation = results_of(case)
    assert references(dataset) == {
        nearest.SOPInstanceUID: ("IMAGE", None),
        report.SOPInstanceUID: ("COMPOSITE", None),
        segmentation.SOPInstanceUID: ("IMAGE", None),
    }


def test_the_evidence_lists_what_the_content_refers_to(tmp_path):
    """PS3.3 C.17.6.2.1: every referenced instance stands in the evidence sequence."""
    dataset = key_objects(case_of("CT axial"))
    listed = {
        instance.ReferencedSOPInstanceUID
        for study in dataset.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert listed == set(references(dataset))


def test_a_frame_of_a_multi_frame_object_is_named(tmp_path):
    case = case_of("MR enhanced, oblique")
    dataset = pydicom.dcmread(save(key_objects(case), tmp_path))
    value_type, frame = references(dataset)[case.source.multi_frame.SOPInstanceUID]
    positions = [
        np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for group in case.source.multi_frame.PerFrameFunctionalGroupsSequence
    ]
    normal = case.source.volume.geometry.directions[:, 0]
    assert value_type == "IMAGE"
    assert frame - 1 == np.argmin([abs((position - CENTRE) @ normal) for position in positions])


def test_dcmtk_reads_the_document(tmp_path):
    text = dsrdump(save(key_objects(case_of("CT axial")), tmp_path))
    assert "Of Interest" in text
    assert PROVENANCE.use_statement in text
    assert PROVENANCE.device_uid in text


def test_no_key_image_is_no_document():
    with pytest.raises(ValueError, match="at least one key image"):
        build_key_objects([], [], run=RUN)
