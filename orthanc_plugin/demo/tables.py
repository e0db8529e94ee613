"""What the demo prints at its end."""

from typing import Any

from rich.console import Console
from rich.table import Table

from orthanc_plugin.demo.local_orthanc import USER, LocalOrthanc


def print_result(console: Console, orthanc: LocalOrthanc, view: dict[str, Any]) -> None:
    """Series, findings, objects and seconds of one study of the work list."""
    model = view["model"]
    console.print(f"\n[bold]{model['name']} {model['version']}[/], research use only", end="")
    console.print(": a demonstration model, its numbers say nothing about a patient" * model["demonstration"])
    for table in (_series(view), _findings(view), _objects(orthanc, view), _seconds(view)):
        console.print(table)
    for warning in view["warnings"]:
        console.print(f"{warning['code']}: {warning['message']}", style="dim", markup=False, highlight=False)
    console.print(f"From study stable to results stored: [bold]{view['seconds']['stable_to_end']:.1f} s[/]")


def print_urls(console: Console, orthanc: LocalOrthanc, *, with_password: bool) -> None:
    table = Table(title="Where", title_justify="left", show_header=False)
    table.add_row("work list", orthanc.worklist_url)
    table.add_row("Orthanc Explorer", f"{orthanc.url}/app/explorer.html")
    table.add_row("DICOM", f"127.0.0.1:{orthanc.dicom_port}")
    if with_password:
        table.add_row("user, password", f"{USER}, {orthanc.password}")
    console.print(table)


def _series(view: dict[str, Any]) -> Table:
    table = Table("series", "images", "decision", "why", title="Series", title_justify="left")
    for series in view["series"]:
        role = f" as {series['role']}" if series["role"] else ""
        table.add_row(
            f"{series['modality']} …{series['series_instance_uid'][-12:]}",
            str(series["num_instances"]),
            series["decision"] + role,
            "; ".join(series["reasons"]),
        )
    return table


def _findings(view: dict[str, Any]) -> Table:
    table = Table(
        "finding", "site", "output", "threshold", "present, says the model", title="Findings", title_justify="left"
    )
    for finding in view["findings"]:
        table.add_row(
            finding["name"],
            finding["site"]["meaning"] if finding["site"] else "",
            _number(finding["probability"]),
            _number(finding["threshold"]),
            {True: "yes", False: "no", None: "not evaluated"}[finding["present"]],
        )
    return table


def _objects(orthanc: LocalOrthanc, view: dict[str, Any]) -> Table:
    table = Table("kind", "bytes", "SHA-256", title="Objects, read back from Orthanc", title_justify="left")
    table.add_column("series in Orthanc Explorer", overflow="fold")
    for entry in view["objects"]:
        url = f"{orthanc.url}/{entry['explorer']}"
        table.add_row(entry["kind"], str(entry["bytes"]), f"{entry['sha256'][:8]}…", url)
    return table


def _seconds(view: dict[str, Any]) -> Table:
    table = Table("stage", "seconds", "device", title="Seconds", title_justify="left")
    for stage in view["stages"]:
        table.add_row(stage["name"], f"{stage['seconds']:.2f}", stage["device"])
    table.add_section()
    for name in ("queued", "fetch", "run", "check", "store"):
        if name in view["seconds"]:
            table.add_row(f"service: {name}", f"{view['seconds'][name]:.2f}", "")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
