"""docs/orthanc.md tells every key of the settings, with the default that the code has."""

import re
from pathlib import Path

from orthanc_plugin.site.settings import ServiceSettings

DOCS = Path(__file__).parents[3] / "docs" / "orthanc.md"
# Filled in by the plugin only, or by tests.
INTERNAL = {"orthanc_authorization", "stop_with_stdin"}


def table() -> dict[str, str]:
    """Key to default of the settings table; a row may hold several keys and as many defaults."""
    section = DOCS.read_text().split("## Settings of the service")[1].split("\n## ")[0]
    entries: dict[str, str] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        keys = re.findall(r"`([a-z_]+)`", cells[0]) if line.startswith("| `") else []
        defaults = cells[1].split(", ") if len(keys) > 1 else cells[1:2]
        entries |= dict(zip(keys, defaults if len(defaults) > 1 else defaults * len(keys), strict=True))
    return entries


def test_every_key_is_documented_and_no_other() -> None:
    assert set(table()) == set(ServiceSettings.model_fields) - INTERNAL


def test_documented_numbers_are_the_defaults() -> None:
    fields = ServiceSettings.model_fields
    documented = {key: float(text) for key, text in table().items() if re.fullmatch(r"[\d.]+", text)}
    assert len(documented) > 10
    assert documented == {key: fields[key].default for key in documented}
    others = [key for key in set(table()) - set(documented) if isinstance(fields[key].default, int | float)]
    assert {key: table()[key] for key in others} == {key: str(fields[key].default).lower() for key in others}
