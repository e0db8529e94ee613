"""Every kind of object from every kind of source, before a validator that knows the standard better than we do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from phantoms import OBLIQUE, SeriesSpec, build_source_series
from result_cases import GEOMETRIES, JAPANESE_NAME, TYPE_2, Case, build_case, dciodvfy, negative, save, without

ACCEPTED_WARNINGS = (
    # Type 3 in Contributing Equipment (PS3.3 table C.12-1) and required there by IHE AIR 6.5.3.1; the validator's
    # tables do not have it yet.
    "(0x0018,0x1002) UI Device UID",
    # The same once more: PS3.2 calls it a Standard Extended SOP Class when an attribute is beyond the IOD.
    "this is a Standard Extended SOP Class",
    # True for a source that has no study date: type 2 may be empty.
    "would be needed to build DICOMDIR",
)


def _phantom(spec: SeriesSpec) -> Callable[[], Case]:
    return lambda: build_case(build_source_series(spec))


JAPANESE = SeriesSpec(patient_name=JAPANESE_NAME, character_set=["", "ISO 2022 IR 87"])
CASES: dict[str, Callable[[], Case]] = {
    **{name: _phantom(spec) for name, spec in GEOMETRIES.items()},
    "MR": _phantom(SeriesSpec(modality="MR")),
    "MR oblique": _phantom(SeriesSpec(modality="MR", row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1])),
    "Japanese": _phantom(JAPANESE),
    "Greek": _phantom(SeriesSpec(patient_name="Παπαδόπουλος^Γιώργος", character_set="ISO_IR 126")),
    "no type 2": lambda: without(_phantom(SeriesSpec())(), *TYPE_2),
    "no slice thickness": lambda: without(_phantom(SeriesSpec())(), "SliceThickness", "SpacingBetweenSlices"),
    "empty study sequences": lambda: _with_empty_sequences(_phantom(SeriesSpec())()),
    "one slice": lambda: _one_slice(),
}


def _with_empty_sequences(case: Case) -> Case:
    for header in case.source.headers:
        header.ProcedureCodeSequence = []
        header.ReferencedStudySequence = [pydicom.Dataset()]
    return case


def _one_slice() -> Case:
    # through lung, bone and mass at once
    return build_case(build_source_series(SeriesSpec(shape=(1, 48, 80), centre_lps_mm=(0.0, 0.0, -3.0))))


def _assert_conformant(path: Path) -> None:
    errors, warnings = dciodvfy(path)
    assert errors == []
    assert [line for line in warnings if not any(known in line for known in ACCEPTED_WARNINGS)] == []


@pytest.mark.parametrize("name", CASES)
def test_segmentation_and_report(name, tmp_path):
    case = CASES[name]()
    segmentation = case.segmentation()
    _assert_conformant(save(segmentation, tmp_path))
    _assert_conformant(save(case.report([segmentation]), tmp_path))


@pytest.mark.parametrize("segmentation_type", ["LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize("name", CASES)
def test_other_types_of_segmentation(name, segmentation_type, tmp_path):
    _assert_conformant(save(CASES[name]().segmentation(segmentation_type=segmentation_type), tmp_path))


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_negative_report(modality, tmp_path):
    case = _phantom(SeriesSpec(modality=modality))()
    _assert_conformant(save(negative(case).report(), tmp_path))


def test_report_of_what_nobody_could_judge(tmp_path):
    case = CASES["axial"]()
    _assert_conformant(save(replace(case, findings=case.findings[3:]).report(), tmp_path))


def test_the_validator_would_notice(tmp_path):
    """A gate that cannot close proves nothing."""
    dataset = CASES["axial"]().segmentation()
    del dataset.SegmentSequence[0].SegmentAlgorithmType
    errors, _ = dciodvfy(save(dataset, tmp_path))
    assert any("SegmentAlgorithmType" in line for line in errors)


REAL = Path(__file__).parents[3] / "data" / "ct_chest_lidc0314"


def test_the_bundled_chest_ct(tmp_path):
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(REAL.rglob("*.dcm"))]
    headers.sort(key=lambda header: float(header.ImagePositionPatient[2]))
    for header in headers:
        # as the volume reader does: in this collection each slice was given a frame of its own
        header.FrameOfReferenceUID = headers[0].FrameOfReferenceUID
    case = build_case(_axial_source(headers))
    segmentation = case.segmentation()
    _assert_conformant(save(segmentation, tmp_path))
    _assert_conformant(save(case.report([segmentation]), tmp_path))


def _axial_source(headers: list[pydicom.Dataset]) -> SourceSeries:
    """The headers on a grid that is centred on the phantom, so that its bodies fall inside."""
    first = headers[0]
    shape = (len(headers), int(first.Rows), int(first.Columns))
    spacing = np.array([1.5, *map(float, first.PixelSpacing)])
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    geometry = Geometry(affine, shape, str(first.FrameOfReferenceUID))
    volume = Volume(np.zeros(shape, np.float32), geometry)
    return SourceSeries(str(first.SeriesInstanceUID), "CT", "real headers", volume, tuple(headers), "0" * 64)
