"""The conformance matrix: every kind of object from every kind of source, before validators that are not ours.

``make conformance`` prints it; ``tests/operators/dicom/results/test_conformance.py`` asserts the same cells.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "support")]

import numpy as np  # noqa: E402
import pydicom  # noqa: E402
from pydicom import Dataset  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402

from companion_cases import encapsulated_pdf, key_objects, parametric_map, results_of, secondary_capture  # noqa: E402
from invalid_sources import INVALID  # noqa: E402
from operators.dicom.study.study_index import index_study  # noqa: E402
from operators.dicom.volumes.source_series import SourceSeries  # noqa: E402
from operators.dicom.volumes.volume_reader import read_series  # noqa: E402
from operators.domain.geometry import Geometry  # noqa: E402
from operators.domain.volume import Volume  # noqa: E402
from phantoms import OBLIQUE, SeriesSpec, build_enhanced, build_source_series, save_series  # noqa: E402
from result_cases import (  # noqa: E402
    GEOMETRIES,
    JAPANESE_NAME,
    TYPE_2,
    Case,
    build_case,
    classes_and_values,
    dciodvfy,
    negative,
    sr_validator,
    without,
)
from stack_cases import read_stack  # noqa: E402
from tid_checker import check_report  # noqa: E402

CHEST_CT = TESTS / "data" / "ct_chest_lidc0314"

ACCEPTED_WARNINGS = {
    # part of the validator's message: why it is no fault
    "(0x0018,0x1002) UI Device UID": "IHE AIR 6.5.3.1 asks for it in Contributing Equipment (PS3.3 C.12.1, type 3)",
    "this is a Standard Extended SOP Class": "said of the same Device UID",
    "would be needed to build DICOMDIR": "the source has no study date; type 2 may be empty (PS3.5 7.4.3)",
    "Unrecognized defined term <99CURIA>": "ours, for heads that bring no codes (PS3.16 section 8)",
    "Unrecognized defined term <99SITE>": "the source's own code for its procedure is taken over (PS3.16 8.2)",
    "attribute <Laterality>": "the source names no body part; type 2C may be empty (PS3.3 C.7.3.1)",
}

PIXELMED_ACCEPTED = {
    # Debian's PixelMed is of 2022: what its templates do not have yet, or do not have there.
    '(276214006,SCT,"Finding category"): Content Item not in template': "TID 1411 and 1501 have the row",
    '(122405,DCM,"Algorithm Manufacturer"): Content Item not in template': "TID 4019 has the row",
    ",99SITE,": "the source's own code for its procedure, where CID 100 is a baseline (TID 1500 row 4)",
    '(121052,DCM,"Presence of property"): Content Item not in template': "TID 1501 takes evaluations of any name",
    **{
        f'(11100{number},DCM,"Algorithm {word}"): Content Item not in template': "stands once in a TID 1411 group, "
        "which is extensible, and not below each of its measurements"
        for number, word in enumerate(("Family", "Name", "Parameters", "Version"))
    },
}


def _phantom(**attributes: object) -> Callable[[], Case]:
    return lambda: build_case(build_source_series(SeriesSpec(**attributes)))


def _enhanced(**attributes: object) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        save_series([build_enhanced(SeriesSpec(**attributes))], Path(folder))
        (series,) = index_study(Path(folder)).series
        return build_case(read_series(series, role="phantom"))


def _with_empty_sequences() -> Case:
    case = _phantom()()
    for header in case.source.headers:
        header.ProcedureCodeSequence = []
        header.ReferencedStudySequence = [pydicom.Dataset()]
    return case


def _chest_ct() -> Case:
    """Real headers on a grid that is centred on the phantom, so that its bodies fall inside."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(CHEST_CT.rglob("*.dcm"))]
    headers.sort(key=lambda header: float(header.ImagePositionPatient[2]))
    first = headers[0]
    for header in headers:
        # as the volume reader does: in this collection each slice was given a frame of its own
        header.FrameOfReferenceUID = first.FrameOfReferenceUID
    shape = (len(headers), int(first.Rows), int(first.Columns))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * np.array([1.5, *map(float, first.PixelSpacing)])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    geometry = Geometry(affine, shape, str(first.FrameOfReferenceUID))
    volume = Volume(np.zeros(shape, np.float32), geometry)
    return build_case(SourceSeries(str(first.SeriesInstanceUID), "CT", "real", volume, tuple(headers), "0" * 64))


OBLIQUE_PLANE = {"row_cosine": OBLIQUE[0], "column_cosine": OBLIQUE[1]}
SOURCES: dict[str, Callable[[], Case]] = {
    **{f"CT {name}": lambda spec=spec: build_case(build_source_series(spec)) for name, spec in GEOMETRIES.items()},
    "CT non-square pixels": _phantom(pixel_spacing=(2.0, 0.7)),
    # through lung, bone and mass at once
    "CT one slice": _phantom(shape=(1, 48, 80), centre_lps_mm=(0.0, 0.0, -3.0)),
    "CT enhanced": lambda: _enhanced(),
    "MR": _phantom(modality="MR"),
    "MR oblique": _phantom(modality="MR", **OBLIQUE_PLANE),
    "MR enhanced, oblique": lambda: _enhanced(modality="MR", **OBLIQUE_PLANE),
    **{f"CT {name}": lambda name=name: build_case(read_stack(name)) for name in ("tilted", "uneven")},
    "no type 2": lambda: without(_phantom()(), *TYPE_2),
    "no slice thickness": lambda: without(_phantom()(), "SliceThickness", "SpacingBetweenSlices"),
    "no body part": lambda: without(_phantom()(), "BodyPartExamined"),
    "empty study sequences": _with_empty_sequences,
    "Japanese name": _phantom(patient_name=JAPANESE_NAME, character_set=["", "ISO 2022 IR 87"]),
    "Chinese name": _phantom(patient_name="Wang^XiaoDong=王^小东", character_set="GB18030"),
    "Greek name": _phantom(patient_name="Παπαδόπουλος^Γιώργος", character_set="ISO_IR 126"),
    "Arabic name": _phantom(patient_name="قباني^لنزار", character_set="ISO_IR 127"),
    "UTF-8 name": _phantom(patient_name="Buc^Jérôme=山田^太郎", character_set="ISO_IR 192"),
    "bundled chest CT": _chest_ct,
}

INVALID_SOURCES: dict[str, Callable[[], Case]] = {
    name: lambda change=change: build_case(build_source_series(SeriesSpec(), header=change))
    for name, change in INVALID.items()
}

KINDS: dict[str, Callable[[Case], Dataset]] = {
    "SR": lambda case: case.report([results_of(case)[1]]),
    "SR negative": lambda case: negative(case).report(),
    "SR segments": lambda case: case.segment_report([results_of(case)[1]]),
    "SR not evaluated": lambda case: replace(case, findings=case.findings[3:]).report(),
    "SR classes and values": lambda case: classes_and_values(case).report([classes_and_values(case).segmentation()]),
    "SEG": lambda case: case.segmentation(),
    "SEG two places": lambda case: classes_and_values(case).segmentation(),
    "SEG LABELMAP": lambda case: case.segmentation(segmentation_type="LABELMAP"),
    "SEG FRACTIONAL": lambda case: case.segmentation(segmentation_type="FRACTIONAL"),
    "KO": key_objects,
    "SC": secondary_capture,
    "PDF": encapsulated_pdf,
    "PM": parametric_map,
}
ON_FEW_SOURCES = {
    kind: ("CT axial", "MR oblique", "CT enhanced") for kind in ("SR classes and values", "SEG two places")
}
"""What differs from other kinds in its answers alone, which no source changes."""
CELLS = [(source, kind) for kind in KINDS for source in ON_FEW_SOURCES.get(kind, tuple(SOURCES))]
INVALID_CELLS = [(source, kind) for kind in ("SR", "SEG", "KO", "SC", "PDF", "PM") for source in INVALID_SOURCES]
"""Objects of a SOP class take the same over from their source."""
REPORTS = frozenset(kind for kind in KINDS if kind.startswith("SR"))


def _check_report(path: Path) -> list[str]:
    """CID 100 is a baseline (TID 1500 row 4): a source's own code for its procedure may stand there."""
    return [one for one in check_report(pydicom.dcmread(path)).problems if "99SITE is not in CID 100" not in one]


def _dciodvfy(path: Path) -> list[str]:
    errors, warnings = dciodvfy(path)
    return errors + [line for line in warnings if not any(known in line for known in ACCEPTED_WARNINGS)]


JUDGES: dict[str, tuple[frozenset[str], Callable[[Path], list[str]]]] = {
    # name: the kinds it judges, and what it has against a file
    "dciodvfy": (frozenset(KINDS), _dciodvfy),
    "our own table of templates": (REPORTS, _check_report),
}


@cache
def case_of(source: str) -> Case:
    return (SOURCES | INVALID_SOURCES)[source]()


def judge(dataset: Dataset, kind: str, folder: Path) -> list[str]:
    """What the judges of this kind have against the object, each with the judge's name."""
    path = folder / f"{kind}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return [
        f"{name}: {complaint}"
        for name, (kinds, complaints) in JUDGES.items()
        if kind in kinds
        for complaint in complaints(path)
    ]


def pixelmed(paths: Sequence[Path]) -> list[list[str]]:
    """What PixelMed's DicomSRValidator has against each report; it takes seconds for one."""
    return [
        [line for line in (*errors, *warnings) if not any(known in line for known in PIXELMED_ACCEPTED)]
        for errors, warnings in sr_validator(paths)
    ]


def main() -> int:
    """Print the matrix; 1 where any judge complains."""
    console = Console()
    # Without a terminal's width the table would break every name.
    console.width = max(console.width, 140)
    table = Table("source", *KINDS, title=f"Conformance, judged by {', '.join(JUDGES)} and, reports, PixelMed")
    complaints: list[str] = []
    num_objects = 0
    with tempfile.TemporaryDirectory() as folder:
        for source in track(SOURCES | INVALID_SOURCES, description="Judging", console=console, transient=True):
            kinds = [kind for kind in KINDS if source in SOURCES or (source, kind) in INVALID_CELLS]
            found = {kind: judge(KINDS[kind](case_of(source)), kind, Path(folder)) for kind in kinds}
            reports = [kind for kind in kinds if kind in REPORTS]
            for kind, problems in zip(
                reports, pixelmed([Path(folder) / f"{kind}.dcm" for kind in reports]), strict=True
            ):
                found[kind] += [f"PixelMed: {problem}" for problem in problems]
            complaints += [f"{source}, {kind}: {problem}" for kind, problems in found.items() for problem in problems]
            num_objects += len(found)
            table.add_row(source, *(_cell(found.get(kind)) for kind in KINDS))
    console.print(table)
    for warning, reason in (ACCEPTED_WARNINGS | PIXELMED_ACCEPTED).items():
        console.print(f"accepted: {warning}: {reason}", markup=False, highlight=False)
    for complaint in complaints:
        console.print(complaint, style="red", markup=False, highlight=False)
    console.print(f"{num_objects} objects, {len(complaints)} complaints")
    return 1 if complaints else 0


def _cell(problems: list[str] | None) -> str:
    if problems is None:
        return ""
    return f"[red]{len(problems)}[/red]" if problems else "[green]ok[/green]"


if __name__ == "__main__":
    sys.exit(main())
