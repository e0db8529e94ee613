"""The series of a study as a table for people."""

from collections.abc import Iterable

from rich.table import Table

from operators.dicom.series_selection import SeriesDecision


def series_table(decisions: Iterable[SeriesDecision]) -> Table:
    table = Table("series", "modality", "slices", "decision", "score", "why", title="Series selection")
    for decision in decisions:
        table.add_row(
            f"…{decision.series.series_instance_uid[-12:]}",
            decision.series.modality,
            str(len(decision.series.instances)),
            f"[green]{decision.role}[/]" if decision.selected else "rejected",
            f"{decision.score:g}",
            "\n".join(decision.reasons),
        )
    return table
