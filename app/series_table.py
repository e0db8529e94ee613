"""The series of a study as a table for people."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.study.header_values import text

_SHOWN_UID_LENGTH = 8


def series_table(decisions: Iterable[SeriesDecision]) -> Table:
    """One row for each decision; long reasons wrap, so that the table fits 80 columns."""
    table = Table(box=SIMPLE_HEAD, leading=1, pad_edge=False)
    table.add_column("series", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("files", justify="right")
    table.add_column("decision", max_width=16)
    table.add_column("score", justify="right")
    table.add_column("why", ratio=1)
    for decision in decisions:
        table.add_row(
            Text(_name(decision)),
            Text(decision.series.modality or "?"),
            str(len(decision.series.instances)),
            Text(decision.role, "bold green") if decision.role else Text("rejected", "dim"),
            f"{decision.score:g}" if decision.score else "",
            Text("\n".join(_shortened(reason) for reason in decision.reasons)),
        )
    return table


def outcome(decisions: Sequence[SeriesDecision]) -> str:
    """What a run would read, in one line for each role."""
    chosen = [
        f"{decision.role}: series {_name(decision)}, {len(decision.volume.slices)} slices"
        for decision in decisions
        if decision.selected
    ]
    return "\n".join(chosen) or "Nothing suitable: a run would end as not-applicable."


def _name(decision: SeriesDecision) -> str:
    """Number and end of the UID. The description is free text and could name the patient."""
    uid = decision.series.series_instance_uid
    number = text(decision.series.headers[0], "SeriesNumber")
    return f"{number or '-'} …{uid[-_SHOWN_UID_LENGTH:]}" if uid else "no UID"


def _shortened(reason: str) -> str:
    """UIDs inside a reason as the first column shows them."""
    return " ".join(f"…{word[-_SHOWN_UID_LENGTH:]}" if _is_long_uid(word) else word for word in reason.split(" "))


def _is_long_uid(word: str) -> bool:
    return len(word) > 20 and word.replace(".", "").isdigit()
