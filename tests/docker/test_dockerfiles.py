"""The Dockerfiles: judged by a linter, copy what is there and is sent, are pinned in one place, run without root."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
HADOLINT = Path(sys.prefix) / "bin/hadolint"
OF_THE_PROJECT = sorted([DOCKER / "Dockerfile", *DOCKER.glob("*.Dockerfile")])
"""Those whose context is the checkout."""

SHIPPED = [*OF_THE_PROJECT, DOCKER / "map/Dockerfile"]


def name(path: Path) -> str:
    return str(path.relative_to(DOCKER))


def judged(text: str) -> str:
    command = [HADOLINT, "--config", ROOT / ".hadolint.yaml", "--format", "gnu", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("dockerfile", SHIPPED, ids=name)
def test_hadolint_finds_nothing_and_every_image_has_its_labels(dockerfile: Path) -> None:
    assert judged(dockerfile.read_text()) == ""


def test_a_missing_label_a_relative_folder_and_root_would_be_seen() -> None:
    text = (DOCKER / "orthanc.Dockerfile").read_text()
    assert "DL3049" in judged(text.replace("image.title", "image.titel"))
    assert "DL3000" in judged(text + "WORKDIR here\n")
    assert "DL3002" in judged(text.replace("USER orthanc", "USER root"))


def test_the_package_says_whether_it_is_well() -> None:
    text = (DOCKER / "map/Dockerfile").read_text()
    (test,) = re.findall(r"^HEALTHCHECK .*CMD \[(.*)\]$", text, flags=re.MULTILINE)
    (entry,) = re.findall(r"^ENTRYPOINT \[(.*)\]$", text, flags=re.MULTILINE)
    assert test == f'{entry}, "show"'


@pytest.mark.parametrize("dockerfile", SHIPPED, ids=name)
def test_its_base_can_be_given_by_digest(dockerfile: Path) -> None:
    """Every FROM is BASE or an earlier stage."""
    text = dockerfile.read_text()
    assert re.search(r"^ARG BASE=debian:bookworm-slim$", text, flags=re.MULTILINE)
    bases = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, flags=re.MULTILINE)
    known = {"${BASE}"}
    for base, stage in bases:
        assert base in known
        known.add(stage)


@pytest.mark.parametrize("dockerfile", OF_THE_PROJECT, ids=name)
def test_the_dockerfile_copies_what_is_there(dockerfile: Path) -> None:
    copied = _copied(dockerfile)
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("dockerfile", OF_THE_PROJECT, ids=name)
def test_what_is_copied_is_sent_to_the_builder(dockerfile: Path) -> None:
    sent = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"]
    for name in _copied(dockerfile):
        assert any(Path(name).match(pattern) or name.startswith(f"{pattern}/") for pattern in sent), name


@pytest.mark.parametrize("dockerfile", SHIPPED, ids=name)
def test_no_stage_that_is_run_runs_as_root(dockerfile: Path) -> None:
    stages = re.split(r"^FROM .*$", dockerfile.read_text(), flags=re.MULTILINE)
    run = [stage for stage in stages if re.search(r"^(CMD|ENTRYPOINT) ", stage, flags=re.MULTILINE)]
    assert run
    for stage in run:
        assert re.findall(r"^USER (.+)$", stage, flags=re.MULTILINE)[-1] in ("1000:1000", "orthanc")


def _copied(dockerfile: Path) -> list[str]:
    lines = [line.split() for line in dockerfile.read_text().splitlines()]
    copies = [words[1:-1] for words in lines if words and words[0] == "COPY" and not words[1].startswith("--from")]
    return [name for words in copies for name in words]
