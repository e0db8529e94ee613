"""The service: ``python -m orthanc_plugin`` or ``curia-orthanc``."""

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ArchiveError, ArchiveUnavailableError, SettingsError
from orthanc_plugin.ledger.database import try_database
from orthanc_plugin.service import serve
from orthanc_plugin.service_log import configure_logging
from orthanc_plugin.site.rules import describe
from orthanc_plugin.site.settings import ServiceSettings, prepare_data_folder, read_settings


def run(
    settings: Annotated[Path | None, typer.Option(help="TOML file with the settings.", envvar="CURIA_SETTINGS")] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the settings and end.")] = False,
) -> None:
    """Run Curia beside Orthanc: studies in, results back. Research use only."""
    try:
        values = read_settings(settings)
        prepare_data_folder(values)
        if check:
            try_database(values.resolved_database_url)
            typer.echo(_summary(values))
            return
        configure_logging(values.log_level)
        serve(values)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    _end_process()


def _end_process() -> None:
    """Not by the interpreter, which waits for the engine's threads: one that awaits another attempt never ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _summary(settings: ServiceSettings) -> str:
    """What the settings make of studies, and how it stands with what they name, a line each."""
    lines = ["settings are valid", f"host: {settings.resolved_executor_id}"]
    lines.append(f"Orthanc at {settings.orthanc_url}: {_state_of_orthanc(settings)}")
    lines += [f"rule {number}: {describe(rule)}" for number, rule in enumerate(settings.rules, start=1)]
    for one in settings.destinations:
        lines.append(f"destination {one.name}: {one.modality or one.stow_url}, {', '.join(sorted(one.kinds)) or 'all'}")
    return "\n".join(lines)


def _state_of_orthanc(settings: ServiceSettings) -> str:
    """No reason to refuse the settings: the service waits for Orthanc, and the plugin hands it a token."""
    client = OrthancClient(settings.orthanc_access, patience_seconds=0.0, stop=threading.Event())
    try:
        client.now()
    except ArchiveUnavailableError as error:
        return f"{error}; the service would wait for it"
    except ArchiveError as error:
        return (
            f"{error}; expected orthanc_username and orthanc_password of one of its users, or to be run by the plugin"
        )
    finally:
        client.close()
    return "answers"


def main() -> None:
    typer.run(run)


if __name__ == "__main__":
    main()
