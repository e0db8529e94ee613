"""The compose file refers to what is there, and its services' settings are valid."""

import json
import re
from pathlib import Path

import httpx
import pytest
import yaml

from orthanc_plugin.site.settings import read_settings

DOCKER = Path(__file__).parents[1] / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES = ("service-1", "service-2")


def test_two_services_share_one_database_under_different_names() -> None:
    environments = [COMPOSE["services"][name]["environment"] for name in SERVICES]
    assert {one["CURIA_EXECUTOR_ID"] for one in environments} == set(SERVICES)
    assert len({one["CURIA_DATABASE_URL"] for one in environments}) == 1


def test_files_and_volumes_that_it_names_are_there() -> None:
    for service in COMPOSE["services"].values():
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            assert source in COMPOSE["volumes"] or (DOCKER / source).is_file(), source
        if "build" in service:
            assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("dockerfile", sorted(DOCKER.glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_the_dockerfile_copies_what_is_there(dockerfile: Path) -> None:
    copied = _copied(dockerfile)
    assert copied
    assert [name for name in copied if not (DOCKER.parent / name).exists()] == []


@pytest.mark.parametrize("dockerfile", sorted(DOCKER.glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_what_is_copied_is_sent_to_the_builder(dockerfile: Path) -> None:
    sent = {line.removeprefix("!") for line in (DOCKER.parent / ".dockerignore").read_text().split() if line[0] == "!"}
    assert {Path(name).parts[0] for name in _copied(dockerfile)} <= sent


def test_every_container_says_whether_it_is_well_and_keeps_what_it_must_in_a_volume() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name
    kept = [source for one in COMPOSE["services"].values() for source in one["volumes"] if source[0] != "."]
    assert sorted(source.split(":")[0] for source in kept) == sorted(COMPOSE["volumes"])


def test_no_secret_stands_in_the_files() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service["environment"].items():
            if re.search("TOKEN|PASSWORD|URL", name):
                assert "${" in value, name
    assert not re.search("(?i)token|password", re.sub("#.*", "", (DOCKER / "service.toml").read_text()))


def test_orthanc_knows_a_service_and_gets_every_secret_that_it_names() -> None:
    text = (DOCKER / "orthanc.json").read_text()
    assert httpx.URL(json.loads(text)["Curia"]["ServiceUrl"]).host in SERVICES
    secrets = set(re.findall(r"\$\{(\w+)\}", text))
    assert secrets == set(COMPOSE["services"]["orthanc"]["environment"])


def test_its_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPOSE["services"]["service-1"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = read_settings(DOCKER / "service.toml")
    assert (settings.resolved_executor_id, settings.host) == ("service-1", "0.0.0.0")
    assert httpx.URL(settings.orthanc_url).host in COMPOSE["services"]
    configuration = json.loads((DOCKER / "orthanc.json").read_text())
    assert httpx.URL(configuration["Curia"]["ServiceUrl"]).port == settings.port


def _copied(dockerfile: Path) -> list[str]:
    lines = [line.split() for line in dockerfile.read_text().splitlines()]
    return [name for words in lines if words and words[0] == "COPY" for name in words[1:-1]]
