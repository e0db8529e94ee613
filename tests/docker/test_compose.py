"""The compose file refers to what is there, keeps its secrets and doors shut, and its services' settings are valid."""

import json
import re
import ssl
import subprocess
from pathlib import Path
from string import Template
from urllib.parse import urljoin

import httpx
import pytest
import yaml
from compose_spec import PyCompose

from orthanc_plugin.site.settings import read_settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
IMAGES = dict(re.findall(r"^(\w+)=(\S+)$", (DOCKER / ".env").read_text(), flags=re.MULTILINE))
COMPOSE = yaml.safe_load(Template((DOCKER / "compose.yaml").read_text()).substitute(IMAGES))
SERVICES = ("service-1", "service-2")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes, as it would lie beside the compose file."""
    folder = tmp_path_factory.mktemp("docker")
    script = folder / "secrets.sh"
    script.write_text((DOCKER / "secrets.sh").read_text())
    subprocess.run(["sh", script, "pacs.example", "dr-one"], check=True, capture_output=True)
    return folder / "secrets"


def test_another_parser_of_the_specification_knows_every_key() -> None:
    parsed = PyCompose.from_json(json.dumps(COMPOSE))
    assert set(parsed.service_names()) == set(COMPOSE["services"])
    parsed.validate()


def test_a_key_that_the_specification_does_not_have_would_be_seen() -> None:
    wrong = {**COMPOSE, "services": {"proxy": {**COMPOSE["services"]["proxy"], "read_onyl": True}}}
    with pytest.raises(ValueError, match="read_onyl"):
        PyCompose.from_json(json.dumps(wrong))


def test_every_image_of_others_can_be_pinned_in_one_file() -> None:
    named = set(re.findall(r"\$\{(\w+)\}", (DOCKER / "compose.yaml").read_text()))
    assert named == IMAGES.keys()
    built = [service["build"] for service in COMPOSE["services"].values() if "build" in service]
    assert {one["args"]["BASE"] for one in built} == {IMAGES["DEBIAN"]}
    others = {service["image"] for service in COMPOSE["services"].values() if "build" not in service}
    assert others == set(IMAGES.values()) - {IMAGES["DEBIAN"]}


def test_two_services_share_one_database_under_different_names() -> None:
    environments = [COMPOSE["services"][name]["environment"] for name in SERVICES]
    assert {one["CURIA_EXECUTOR_ID"] for one in environments} == set(SERVICES)
    assert all("curia_database_url" in COMPOSE["services"][name]["secrets"] for name in SERVICES)


def test_files_volumes_and_stages_that_it_names_are_there() -> None:
    for service in COMPOSE["services"].values():
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            assert source in COMPOSE["volumes"] or (DOCKER / source).exists(), source
        if "build" in service:
            dockerfile = (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).read_text()
            assert f" AS {service['build'].get('target', '')}" in dockerfile or "target" not in service["build"]


def test_every_container_says_whether_it_is_well_and_keeps_what_it_must_in_a_volume() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name
        assert "no-new-privileges:true" in service["security_opt"], name
        # PostgreSQL's image sets its folder's owner as root and then is root no more.
        assert service.get("cap_drop") == ["ALL"] or name == "postgres", name
        assert service.get("read_only") or name == "postgres", name
    kept = [source for one in COMPOSE["services"].values() for source in one["volumes"] if source[0] != "."]
    assert sorted(source.split(":")[0] for source in kept) == sorted(COMPOSE["volumes"])


def test_nothing_but_tls_and_dicom_can_be_reached_from_outside() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    published = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
    assert published == {"proxy": ["443:8443"], "orthanc": ["4242:4242"]}
    outside = {name for name, one in COMPOSE["services"].items() if one["networks"] != ["inside"]}
    assert outside == {"proxy", "orthanc"}


def test_secrets_come_from_files_alone_and_the_script_makes_every_one(secrets: Path) -> None:
    made = {path.name for path in secrets.iterdir()}
    assert {Path(one["file"]).name for one in COMPOSE["secrets"].values()} == made
    asked = [one for service in COMPOSE["services"].values() for one in service.get("secrets", [])]
    assert {one["source"] if isinstance(one, dict) else one for one in asked} == set(COMPOSE["secrets"])
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("(?i)token|password|secret", name):
                assert str(value).startswith("/run/secrets/"), name
    assert not re.search("(?i)token|password", re.sub("#.*", "", (DOCKER / "service.toml").read_text()))
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert (
        subprocess.run(["sh", secrets.parent / "secrets.sh", "other"], capture_output=True, check=False).returncode == 1
    )


def test_the_certificate_is_the_hosts_and_goes_with_its_key(secrets: Path) -> None:
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(secrets / "tls.crt", secrets / "tls.key")
    asked = ["openssl", "x509", "-noout", "-in", secrets / "tls.crt", "-checkhost"]
    said = subprocess.run([*asked, "pacs.example"], capture_output=True, text=True, check=True).stdout
    assert "does match" in said


def test_orthanc_has_no_key_twice_and_knows_its_users_and_a_service(secrets: Path) -> None:
    open_part, secret_part = (
        json.loads(path.read_text()) for path in (DOCKER / "orthanc.json", secrets / "orthanc.json")
    )
    assert not open_part.keys() & secret_part.keys()
    assert open_part["AuthenticationEnabled"]
    users = secret_part["RegisteredUsers"]
    assert users.keys() == {"curia", "dr-one"}
    assert users["curia"] == (secrets / "curia_orthanc_password").read_text()
    assert httpx.URL(secret_part["Curia"]["ServiceUrl"]).host in SERVICES
    assert secret_part["Curia"]["Token"] == (secrets / "curia_token").read_text()


def test_explorer_2_gets_buttons_that_ask_routes_which_the_plugin_passes_on() -> None:
    buttons = json.loads((DOCKER / "orthanc.json").read_text())["OrthancExplorer2"]["UiOptions"]["CustomButtons"]
    assert buttons.keys() == {"study"}
    app = "https://pacs.example/orthanc/ui/app/"  # where its pages stand below Orthanc's root
    asked = {(one["HttpMethod"], urljoin(app, one["Url"].format(UUID="0123-abcd"))) for one in buttons["study"]}
    study = "https://pacs.example/orthanc/curia/studies/0123-abcd"
    assert asked == {("GET", study), ("POST", f"{study}/run")}
    assert len({one["Id"] for one in buttons["study"]}) == len(buttons["study"])
    assert all("research use only" in one["Tooltip"] for one in buttons["study"])


def test_the_services_settings_are_valid(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPOSE["services"]["service-1"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = read_settings(DOCKER / "service.toml", secrets=secrets)
    assert (settings.resolved_executor_id, settings.host) == ("service-1", "0.0.0.0")
    assert httpx.URL(settings.orthanc_url).host in COMPOSE["services"]
    assert settings.token is not None
    assert settings.token.get_secret_value() == (secrets / "curia_token").read_text()
    assert (secrets / "postgres_password").read_text() in settings.resolved_database_url
    assert json.loads((secrets / "orthanc.json").read_text())["Curia"]["ServiceUrl"].endswith(f":{settings.port}")


def test_prometheus_asks_every_service_and_grafana_asks_prometheus() -> None:
    asked = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())
    assert asked["scrape_configs"][0]["static_configs"][0]["targets"] == [f"{name}:8790" for name in SERVICES]
    mounted = {volume.split(":")[1] for volume in COMPOSE["services"]["prometheus"]["volumes"]}
    assert set(asked["rule_files"]) <= mounted
    (source,) = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert httpx.URL(source["url"]).host == "prometheus"
    (provider,) = yaml.safe_load((DOCKER / "grafana/provisioning/dashboards/curia.yml").read_text())["providers"]
    dashboards = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert any(place.startswith(f"{provider['options']['path']}/") for place in dashboards)


def test_the_proxy_leads_to_containers_that_are_there() -> None:
    text = (DOCKER / "proxy/nginx.conf").read_text()
    targets = {httpx.URL(address).host for address in re.findall(r"proxy_pass (\S+);", text)}
    assert targets == {"orthanc", "grafana"}
    mounted = {f"/run/secrets/{name}" for name in COMPOSE["services"]["proxy"]["secrets"]}
    assert set(re.findall(r"/run/secrets/\w+", text)) == mounted
