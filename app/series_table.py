"""The series of a study as a table for people."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.study.header_values import text_of

_SHOWN_UID_LENGTH = 8


def series_table(studies: Sequence[Sequence[SeriesDecision]]) -> Table:
    """One row for each decision; long reasons wrap, so that the table fits 80 columns.

    studies : the decisions of each study, judged as if it came alone; where there are several, their UIDs are shown
    """
    table = Table(box=SIMPLE_HEAD, leading=1, pad_edge=False, collapse_padding=True)
    if len(studies) > 1:
        table.add_column("study", no_wrap=True)
    table.add_column("series", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("files", justify="right")
    table.add_column("decision", max_width=16)
    table.add_column("score", justify="right")
    table.add_column("why", ratio=1)
    for decision in (decision for decisions in studies for decision in decisions):
        table.add_row(*([_study(decision)] if len(studies) > 1 else []), *_cells(decision))
    return table


def _cells(decision: SeriesDecision) -> tuple[RenderableType, ...]:
    return (
        Text(_name(decision)),
        Text(decision.series.modality or "?"),
        str(len(decision.series.instances)),
        Text(decision.role, "bold green") if decision.role else Text("rejected", "dim"),
        f"{decision.score:g}" if decision.score else "",
        _bulleted(decision.reasons),
    )


def _bulleted(reasons: Iterable[str]) -> Table:
    """A point before each reason, so that one that wraps is not taken for two."""
    lines = Table.grid(padding=(0, 1))
    for reason in reasons:
        lines.add_row("·", Text(_shortened(reason)))
    return lines


def outcome(decisions: Sequence[SeriesDecision]) -> str:
    """What a run would read, in one line for each role."""
    chosen = [
        f"{decision.role}: series {_name(decision)}, {len(decision.volume.slices)} slices"
        for decision in decisions
        if decision.selected
    ]
    return "\n".join(chosen) or "Nothing suitable: a run would end as not-applicable."


def _study(decision: SeriesDecision) -> str:
    uid = text_of(decision.series.headers[0], "StudyInstanceUID")
    return _end_of(uid) if uid else "no UID"


def _name(decision: SeriesDecision) -> str:
    """Number and end of the UID. The description is free text and could name the patient."""
    uid = decision.series.series_instance_uid
    number = text_of(decision.series.headers[0], "SeriesNumber")
    return f"{number or '-'} {_end_of(uid)}" if uid else "no UID"


def _shortened(reason: str) -> str:
    """UIDs inside a reason as the first column shows them."""
    return " ".join(_end_of(word) if _is_long_uid(word) else word for word in reason.split(" "))


def _end_of(uid: str) -> str:
    return "…" + uid[-_SHOWN_UID_LENGTH:].lstrip(".")


def _is_long_uid(word: str) -> bool:
    return len(word) > 20 and word.replace(".", "").isdigit()
