from dataclasses import replace

from rich.console import Console

from app.series_table import outcome, series_table
from operators.dicom.selection.series_selection import SeriesDecision, select_series
from operators.dicom.study.study_index import StudyIndex
from series_cases import PLAIN, PLAIN_MR, indexed, set_all


def decisions() -> tuple[SeriesDecision, ...]:
    words = set_all(SeriesDescription="CANARY", PatientName="CANARY", Modality="CT", SeriesNumber=7)
    series = (
        indexed(PLAIN, words),
        indexed(replace(PLAIN, series="b")),
        indexed(PLAIN_MR, set_all(ImageType="MOSAIC")),
    )
    return select_series(StudyIndex(series, 0))


def printed(width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(series_table([decisions()]))
    return capture.get()


def test_every_series_has_a_row_and_its_reasons():
    text = " ".join(printed(160).split())
    assert text.count("CT volume") == 2
    assert "a mosaic of slices in one image" in text
    assert "8 slices over 24 mm (+1.1)" in text


def test_uids_inside_reasons_are_as_short_as_those_beside_them():
    text = printed(160)
    winner = decisions()[0].series.series_instance_uid
    assert winner not in text
    assert text.count(f"…{winner[-8:]}") == 2


def test_wrapped_reasons_stay_one_point_each():
    lines = printed(80).splitlines()
    reasons = [reason for decision in decisions() for reason in decision.reasons]
    assert max(map(len, lines)) <= 80
    assert sum("· " in line for line in lines) == len(reasons)


def test_studies_that_came_together_are_told_apart():
    console = Console(width=120)
    with console.capture() as capture:
        console.print(series_table([decisions(), decisions()]))
    lines = capture.get().splitlines()
    study = decisions()[0].series.headers[0].StudyInstanceUID
    assert lines[1].split()[:2] == ["study", "series"]
    assert sum(study[-8:] in line for line in lines) == 6
    assert "study" not in printed(120)


def test_no_free_text_is_shown():
    assert "CANARY" not in printed(80) + outcome(decisions())


def test_the_outcome_is_a_line_for_each_role():
    assert outcome(decisions()).endswith("8 slices")
    assert outcome(()) == "Nothing suitable: a run would end as not-applicable."
