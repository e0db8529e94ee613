"""The fault matrix as a table, from pytest's reports."""

import pytest
from rich.console import Console
from rich.table import Table


def print_fault_table(reporter: pytest.TerminalReporter) -> None:
    table = Table("fault", "when", "outcome", "seconds", title="Fault matrix")
    for outcome, colour in (("passed", "green"), ("skipped", "yellow"), ("failed", "red"), ("error", "red")):
        for report in reporter.stats.get(outcome, []):
            words = dict(report.user_properties).get("fault")
            if words is not None and (report.when == "call" or outcome != "passed"):
                table.add_row(*words, f"[{colour}]{outcome}[/]", f"{report.duration:.1f}")
    Console(width=110).print(table)
