from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from orthanc_plugin.__main__ import run

NOBODY = "http://127.0.0.1:9"
SOUND = f"""settings are valid
host: local
Orthanc at {NOBODY}: Orthanc does not answer (ConnectError); the service would wait for it
"""


def check(settings: Path) -> tuple[int, str]:
    application = typer.Typer()
    application.command()(run)
    result = CliRunner().invoke(application, ["--check", "--settings", str(settings)])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("text", "exit_code", "output"),
    [
        ('data_folder = "{folder}/data"', 0, SOUND),
        (
            'data_folder = "{folder}/data"\n[[rules]]\nname = "night MR"\nmodalities = ["MR"]\nstart = "19:00-06:00"\n'
            '[[destinations]]\nname = "pacs"\nmodality = "main"\nkinds = ["SR"]\n',
            0,
            SOUND + "rule 1: night MR: modalities MR: start 19:00-06:00\ndestination pacs: main, SR\n",
        ),
        (
            'data_folder = "{folder}/data"\ndatabase_url = "postgresql+psycopg://u:hunter2@127.0.0.1:9/d"',
            2,
            'database_url: the database cannot be used: connection failed: connection to server at "127.0.0.1", port 9 '
            "failed: Connection refused Is the server running on that host and accepting TCP/IP connections?\n",
        ),
        ("sweep = 1", 2, "settings: sweep: there is no such key\n"),
    ],
)
def test_check_says_in_one_line_whether_the_settings_hold(
    tmp_path: Path, text: str, exit_code: int, output: str
) -> None:
    path = tmp_path / "service.toml"
    path.write_text(f'orthanc_url = "{NOBODY}"\n{text.format(folder=tmp_path)}')
    assert check(path) == (exit_code, output)
