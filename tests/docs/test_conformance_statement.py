"""The conformance statement says what the code does, and every test that it names exists."""

from pathlib import Path

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from companion_cases import results_of
from concept_table import codes_of
from conformance_matrix import ACCEPTED_WARNINGS, KINDS, case_of
from operators.dicom.pixels import pixel_decoding
from operators.dicom.results.object_kinds import SOP_CLASSES
from operators.dicom.results.result_settings import ResultSettings
from operators.dicom.selection import volume_checks
from operators.domain import concepts

STATEMENT = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
TESTS = Path(__file__).parents[1] / "operators" / "dicom"


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, without its own heading row."""
    section = STATEMENT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_sop_classes_read():
    read = set().union(*volume_checks._IMAGE_CLASSES.values())
    assert {uid for _, uid in rows("SOP classes read")} == read


def test_transfer_syntaxes_read():
    native = {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
    }
    assert {uid for _, uid in rows("Transfer syntaxes read")} == {
        *native,
        *pixel_decoding._DECODERS,
        RLELossless,
    }


def test_sop_classes_written_with_modality_and_series_number():
    table = rows("SOP classes written")
    assert [(row[2], row[0]) for row in table] == [(uid, SOP_CLASSES[uid]) for uid in sorted(SOP_CLASSES, key=_rank)]
    case = case_of("CT axial")
    for kind, build in KINDS.items():
        dataset = build(case)
        (row,) = [row for row in table if row[2] == dataset.SOPClassUID]
        assert row[0] == kind.split()[0]
        assert row[3] == dataset.Modality
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def _rank(uid: str) -> int:
    return list(SOP_CLASSES).index(uid)


def test_series_numbers_written():
    numbers = {row[0]: int(row[4]) for row in rows("SOP classes written")}
    report, segmentation = results_of(case_of("CT axial"))
    assert (numbers["SR"], numbers["SEG"]) == (report.SeriesNumber, segmentation.SeriesNumber)
    companions = {kind: KINDS[kind](case_of("CT axial")).SeriesNumber for kind in ("KO", "SC", "PDF", "PM")}
    assert {kind: numbers[kind] for kind in companions} == companions


def test_settings_with_their_defaults():
    defaults = {
        "None": "none",
        "{}": "none",
        "('SR', 'SEG', 'REG', 'DREG')": '`["SR", "SEG", "REG", "DREG"]`',
        "BINARY": '`"BINARY"`',
    }
    expected = {
        f"`{name}`": defaults.get(str(value), f"`{str(value).lower()}`")
        for name, value in ResultSettings().model_dump().items()
    }
    assert {name: default for name, default, _ in rows("Settings")} == expected


def test_accepted_warnings():
    table = {warning.strip("`"): reason for warning, reason in rows("Warnings of the validators that are accepted")}
    assert table == ACCEPTED_WARNINGS


def test_every_row_of_the_profile_names_a_test_that_exists():
    table = rows("IHE AI Results (AIR)")
    assert len(table) >= 20
    for row in table:
        file, name = row[-1].strip("`").split("::")
        assert f"\ndef {name}(" in (TESTS / file).read_text(encoding="utf-8"), row[-1]


def test_every_code_that_we_write():
    expected = sorted(f"| {code.value} | {code.scheme} | {code.meaning} |" for code in codes_of(concepts))
    table = sorted(f"| {' | '.join(row)} |" for row in rows("Codes"))
    assert table == expected, "the rows that docs/conformance.md should have:\n" + "\n".join(expected)
