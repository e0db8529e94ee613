"""A study's results as heads would give them on the phantom, and the independent judges of the DICOM objects."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.results.provenance import Provenance
from operators.dicom.results.report.findings_report import build_report
from operators.dicom.results.report.segment_report import build_segment_report
from operators.dicom.results.result_settings import SegmentationType
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.segmentation.object import build_segmentation
from operators.dicom.results.uids import RunIdentity
from operators.dicom.volumes.slice_masks import on_slices
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import BODY_REGIONS, FINDINGS, NO_UNITS, SEGMENTS, Code
from operators.domain.finding import Algorithm, Finding, Localisation
from operators.domain.measurement import Measurement
from operators.domain.reading import SeriesReading, StudyReading
from operators.domain.segment import Segment, SeriesSegments
from operators.heads.labels import own_code
from operators.heads.measurements import measure
from phantoms import BODIES, CORONAL, OBLIQUE, SAGITTAL, SeriesSpec, grid_positions, phantom_mask

NOW = datetime(2026, 3, 4, 5, 6, 7)
IDENTITY = RunIdentity(source_digest="a" * 64, model_digest="b" * 64, settings_digest="c" * 64)
PROVENANCE = Provenance(
    model_name="curia-demo",
    software_versions="0.1.0",
    model_digest="b" * 64,
    settings_digest="c" * 64,
    demonstration=True,
)
HEADS = {name: Algorithm(name, "1", digit * 64) for name, digit in (("organs", "1"), ("region", "2"), ("mass", "3"))}
RUN = RunContext(IDENTITY, PROVENANCE, HEADS, NOW)
LABELS = {"lung": "lung", "bone": "bone", "soft-tissue mass": "mass"}
"""Segment label to body of the phantom."""

GEOMETRIES = {
    "axial": SeriesSpec(),
    "sagittal": SeriesSpec(row_cosine=SAGITTAL[0], column_cosine=SAGITTAL[1], shape=(24, 60, 50)),
    "coronal descending": SeriesSpec(
        row_cosine=CORONAL[0], column_cosine=CORONAL[1], shape=(16, 60, 70), descending=True
    ),
    "oblique": SeriesSpec(row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], slice_spacing=2.5),
    "oblique descending": SeriesSpec(row_cosine=OBLIQUE[0], column_cosine=OBLIQUE[1], descending=True),
}
LEFT = Code("7771000", "SCT", "Left")
TYPE_2 = ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime")
JAPANESE_NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


@dataclass(frozen=True)
class Case:
    """One source series with everything that is said about it."""

    source: SourceSeries
    segments: SeriesSegments
    findings: tuple[Finding, ...]
    run: RunContext = RUN
    values: tuple[Measurement, ...] = ()
    """Of the whole series."""

    @cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        return (*self.values, *measure(self.segments))

    @property
    def reading(self) -> StudyReading[SourceSeries]:
        return reading_of([self])

    def segmentation(self, segmentation_type: SegmentationType = "BINARY", **more: Any) -> Dataset:
        segments = on_slices(self.segments, self.source)
        return build_segmentation(self.source, segments, run=self.run, segmentation_type=segmentation_type, **more)

    def report(
        self,
        segmentations: Sequence[Dataset] = (),
        is_complete: bool = True,
        previous: Sequence[Dataset] = (),
    ) -> Dataset:
        """Of the findings alone where there are no segmentations."""
        without_segments = SeriesReading(self.source, findings=self.findings, measurements=self.values)
        reading = self.reading if segmentations else StudyReading((without_segments,))
        return build_report(
            reading,
            segmentations=segmentations,
            run=self.run,
            is_complete=is_complete,
            previous=previous,
        )

    def segment_report(self, segmentations: Sequence[Dataset]) -> Dataset:
        return build_segment_report(self.reading, segmentations=segmentations, run=self.run, is_complete=True)


def build_case(source: SourceSeries) -> Case:
    """The phantom's bodies as segments, a mass that is there, regions, and one thing that nobody judged."""
    series = source.series_instance_uid
    positions = grid_positions(source.volume.geometry)
    segments = tuple(
        Segment(
            number=number,
            label=label,
            category=SEGMENTS[label][0],
            type=SEGMENTS[label][1],
            head="organs",
            tracking_id=f"{label} 1",
            tracking_uid=IDENTITY.tracking_uid(series, "organs", label),
            mask=phantom_mask(positions, body),
            probability=phantom_probability(positions, body),
            finding=label if label in FINDINGS else None,
        )
        for number, (label, body) in enumerate(LABELS.items(), start=1)
    )
    return Case(source, SeriesSegments(series, source.volume.geometry, segments), _findings(source, segments[2]))


def phantom_probability(positions: NDArray[np.float64], body: str) -> NDArray[np.uint8]:
    """(..., 3) LPS mm to (...) in steps of 1/255: half on the body's surface, falling outwards."""
    centre, radii, _ = BODIES[body]
    distance = np.sqrt(np.sum(((positions - centre) / radii) ** 2, axis=-1))
    return np.asarray(np.rint(255 * np.clip(1.5 - distance, 0.0, 1.0)), np.uint8)


def _findings(source: SourceSeries, mass: Segment) -> tuple[Finding, ...]:
    series, centre = source.series_instance_uid, BODIES["mass"][0]
    key, _, _ = source.on_nearest_slice(np.array(centre))
    code, site = FINDINGS["soft-tissue mass"]
    localisation = Localisation(mass.number, source.sop_instance_uids[key], centre, mass.tracking_uid, 1.0)
    present = Finding("soft-tissue mass", code, site, "mass", series, 0.875, 0.5, True, None, localisation, LEFT)
    return (
        present,
        Finding("head", BODY_REGIONS["head"], None, "region", series, 0.0625, 0.5, False),
        Finding("chest", BODY_REGIONS["chest"], None, "region", series, 0.75, None, True),
        Finding("liver mass", code, None, "mass", series, None, 0.5, None, "the liver is not in the images"),
    )


def highdicom_equipment() -> dict[str, Any]:
    """`PROVENANCE` as the constructors of highdicom's image objects take it."""
    return {
        "manufacturer": PROVENANCE.manufacturer,
        "manufacturer_model_name": PROVENANCE.model_name,
        "software_versions": PROVENANCE.software_versions,
        "device_serial_number": PROVENANCE.device_serial_number,
        "contributing_equipment": [PROVENANCE.contributing_equipment()],
    }


def reading_of(cases: Sequence[Case]) -> StudyReading[SourceSeries]:
    """Of a study with the series of all *cases*."""
    return StudyReading(
        tuple(
            SeriesReading(
                case.source,
                findings=case.findings,
                segments=case.segments,
                slice_segments=on_slices(case.segments, case.source),
                measurements=case.measurements,
            )
            for case in cases
        )
    )


def without(case: Case, *keywords: str) -> Case:
    """The case from a source that lacks some attributes."""
    for header in case.source.headers:
        for keyword in keywords:
            delattr(header, keyword)
    return case


def classes_and_values(case: Case) -> Case:
    """A head of three classes without an operating point, one of many findings with one, of which one lies in two
    places, an age, and a survival curve with a number of the prior.
    """
    series, middle = case.source.series_instance_uid, len(case.source.headers) // 2
    x, y, z = case.source.volume.geometry.positions((np.array(case.source.volume.geometry.shape) - 1) / 2)
    place = Localisation(
        None, case.source.sop_instance_uids[middle], (x, y, z), IDENTITY.tracking_uid(series, "grade", "mild"), None
    )
    mass = case.segments.segments[2]
    segments = [
        replace(
            segment,
            head="chest",
            finding="chest: effusion",
            label=label,
            tracking_uid=IDENTITY.tracking_uid(series, "chest", label),
        )
        for segment, label in zip(case.segments.segments[:2], ("effusion", "effusion 2"), strict=True)
    ]
    seen = Localisation(1, place.sop_instance_uid, place.point_lps_mm, segments[0].tracking_uid, 2.0)
    grades = (
        Finding(
            f"grade: {name}",
            own_code(name, name),
            None,
            "grade",
            series,
            value,
            None,
            None,
            "no operating point",
            place,
        )
        for name, value in (("mild", 0.5), ("moderate", 0.375), ("severe", 0.125))
    )
    findings = (
        *grades,
        Finding("chest: effusion", own_code("e", "effusion"), None, "chest", series, 0.75, 0.5, True, None, seen),
        Finding("chest: nodule", own_code("n", "nodule"), None, "chest", series, 0.25, 0.5, False),
        Finding("chest: fracture", own_code("f", "fracture"), None, "chest", series, None, 0.5, None, "needs a region"),
    )
    values = (
        Measurement("age", own_code("age", "age"), 61.5, Code("a", "UCUM", "year"), series, None, None, head="age"),
        Measurement(
            "hazard ratio", own_code("h", "hazard ratio"), 1.25, NO_UNITS, series, None, None, 1.0, 90, 25.0, head="cox"
        ),
        Measurement(
            "no death until day 365", own_code("s", "survival"), 0.875, NO_UNITS, series, None, None, head="cox"
        ),
    )
    heads = HEADS | {
        name: Algorithm(name, "1", str(digit) * 64) for digit, name in enumerate(("grade", "chest", "age", "cox"), 4)
    }
    return replace(
        case,
        segments=replace(case.segments, segments=(*segments, mass)),
        findings=findings,
        values=values,
        run=replace(case.run, heads=heads),
    )


def negative(case: Case) -> Case:
    """Nothing is there and nothing was segmented."""
    absent = tuple(
        replace(finding, probability=0.125, present=False, localisation=None, not_evaluated=None)
        for finding in case.findings
    )
    return replace(case, findings=absent)


def save(dataset: Dataset, folder: Path) -> Path:
    path = folder / f"{dataset.Modality}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def dciodvfy(path: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings; the exit status is no verdict, so the messages are read."""
    judge = Path(sys.executable).with_name("dciodvfy")
    result = subprocess.run([judge, path], capture_output=True, text=True, errors="replace", check=False)
    lines = (result.stdout + result.stderr).splitlines()
    errors = [line for line in lines if line.startswith("Error") or " - Error - " in line]
    return errors, [line for line in lines if "Warning" in line]


def dsrdump(path: Path) -> str:
    judge = shutil.which("dsrdump")
    assert judge, "dsrdump is missing: install the dcmtk package"
    # +Pl prints long values whole, +Pc the codes of concept names.
    return subprocess.run(
        [judge, "+Pl", "+Pc", path], capture_output=True, text=True, errors="replace", check=True
    ).stdout


def sr_validator(paths: Sequence[Path]) -> list[tuple[list[str], list[str]]]:
    """Errors and warnings of PixelMed's DicomSRValidator for each file; its exit status is no verdict either."""
    archive = Path("/usr/share/java/pixelmed.jar")
    assert archive.exists(), "DicomSRValidator is missing: install the pixelmed-apps and libpixelmed-java packages"
    # The limits of XPath are for untrusted stylesheets; PixelMed's own is too large for them.
    limits = [f"-Djdk.xml.xpath{name}Limit=0" for name in ("TotalOp", "ExprOp", "ExprGrp")]
    command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *limits, "-cp", str(archive)]
    command += ["com.pixelmed.validate.DicomSRValidator", "-checktemplateid", "-checkcontentitemorder"]
    judges = [
        subprocess.Popen([*command, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for path in paths
    ]
    found = []
    for judge in judges:
        lines = judge.communicate()[0].splitlines()
        assert "IOD validation complete" in lines, lines
        found.append(tuple([line for line in lines if line.startswith(word)] for word in ("Error", "Warning")))
    return found


def tid1500reader(path: Path) -> dict[str, Any]:
    """The report as dcmqi reads it."""
    out = path.with_suffix(".json")
    judge = Path(sys.executable).with_name("tid1500reader")
    subprocess.run([judge, "--inputDICOM", path, "--outputMetadata", out], capture_output=True, check=True)
    return dict(json.loads(out.read_text()))
