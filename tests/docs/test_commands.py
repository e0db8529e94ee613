"""Every command on the pages is run, here or by a test that the page names, or the page says that it is not run."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from phantoms import SeriesSpec, build_datasets, save_series

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```\n(?:\s*\n)?( *\*[^\n]*\*\n)?", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r"^ *(sudo |make |git |docker|kubectl |sbatch |torchrun |openssl |sqlite3 |pg_\w+ |(\.venv/bin/)?python |cd )",
    re.MULTILINE,
)
HERE = "*Run by make test.*"
OTHERWISE = re.compile(r"\*(Run|The first is run) by make test[:,] |\*Not run")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    mark: str


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page.name, text[: found.start()].count("\n") + 1, found[2], found[3], (found[4] or "").strip())
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]


def place(block: Block) -> str:
    return f"{block.page}:{block.line}"


def test_commands_stand_in_blocks_of_shell_and_nowhere_else() -> None:
    assert len(SHELL) > 10
    others = [block for block in BLOCKS if block.language not in ("sh", "toml", "json")]
    assert [place(block) for block in others if COMMAND.search(block.text)] == [], (
        "commands in a block that is not ```sh"
    )


def test_every_block_of_shell_says_who_runs_it() -> None:
    unmarked = [place(block) for block in SHELL if block.mark != HERE and not OTHERWISE.match(block.mark)]
    assert unmarked == [], f"followed by neither {HERE} nor *Run by make test: `tests/...`* nor *Not run ...: why*"


def test_every_test_that_a_mark_names_is_there() -> None:
    named = {(place(block), name) for block in SHELL for name in re.findall(r"`(tests/[^`]+)`", block.mark)}
    assert named
    assert [pair for pair in sorted(named) if not (ROOT / pair[1].split("::")[0]).exists()] == []


OF_THE_PROJECT = re.compile(r"`((?:app|docker|docs|operators|orthanc_plugin|tests|trainer)/[\w./-]+)`")
MADE_LATER = {"docker/secrets"}
"""By a command of the pages."""


def test_every_file_of_the_project_that_a_page_names_is_there() -> None:
    named = {(page.name, name) for page in PAGES for name in OF_THE_PROJECT.findall(page.read_text())}
    assert len(named) > 50
    assert [pair for pair in sorted(named) if pair[1] not in MADE_LATER and not (ROOT / pair[1]).exists()] == []


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the pages' words in capitals stand for: a small study, an earlier one of the same patient, a model."""
    folder = tmp_path_factory.mktemp("words")
    small = SeriesSpec(shape=(4, 32, 32))
    save_series(build_datasets(small), folder / "study")
    shutil.copytree(ROOT / "app/demo_model", folder / "model")
    return {"STUDY": f"{folder}/study", "OUT": f"{folder}/out", "MODEL": f"{folder}/model"}


COMMANDS = list(
    dict.fromkeys(
        line.split("  #")[0].strip().replace("\\\n", "")
        for block in SHELL
        if block.mark == HERE
        for line in block.text.replace("\\\n", "").splitlines()
        if line.strip()
    )
)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_runs(command: str, words: dict[str, str]) -> None:
    told = re.sub(r"\b(STUDY|OUT|MODEL)\b", lambda found: words[found[1]], command)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", told], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # The phantom shows nothing that a head knows; that is an outcome, not a fault of the command.
    assert ended.returncode in (0, 3), f"{told}\n{ended.stdout}\n{ended.stderr}"
