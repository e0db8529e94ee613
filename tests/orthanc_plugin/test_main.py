from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from orthanc_plugin.__main__ import run


def check(settings: Path) -> tuple[int, str]:
    application = typer.Typer()
    application.command()(run)
    result = CliRunner().invoke(application, ["--check", "--settings", str(settings)])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("text", "exit_code", "output"),
    [
        ('data_folder = "{folder}/data"', 0, "settings are valid\nhost: local\n"),
        (
            'data_folder = "{folder}/data"\n[[rules]]\nname = "night MR"\nmodalities = ["MR"]\nstart = "19:00-06:00"\n'
            '[[destinations]]\nname = "pacs"\nmodality = "main"\nkinds = ["SR"]\n',
            0,
            "settings are valid\nhost: local\nrule 1: night MR: modalities MR: start 19:00-06:00\n"
            "destination pacs: main, SR\n",
        ),
        ("sweep = 1", 2, "settings: sweep: Extra inputs are not permitted\n"),
    ],
)
def test_check_says_in_one_line_whether_the_settings_hold(
    tmp_path: Path, text: str, exit_code: int, output: str
) -> None:
    path = tmp_path / "service.toml"
    path.write_text(text.format(folder=tmp_path))
    assert check(path) == (exit_code, output)
