"""The Kubernetes manifests fit Kubernetes' own schemas and one another, and the restricted pod security standard."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from orthanc_plugin.site.settings import ServiceSettings, read_settings

DOCKER = Path(__file__).parents[2] / "docker"
DOCUMENTS = [
    document
    for path in sorted((DOCKER / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
PODS = {one["metadata"]["name"]: one["spec"]["template"] for one in DOCUMENTS if one["kind"] == "StatefulSet"}


def named(kind: str) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in DOCUMENTS if one["kind"] == kind}


@pytest.mark.parametrize("version", ["1.28", "1.33"])
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_the_manifest_is_what_kubernetes_takes(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_a_key_that_kubernetes_does_not_know_would_be_seen() -> None:
    wrong = {**named("Service")["service"], "spce": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="spce"):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


@pytest.mark.parametrize("name", PODS)
def test_no_pod_has_a_right_that_it_does_not_need(name: str) -> None:
    pod = PODS[name]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
    (namespace,) = named("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", PODS)
def test_everything_that_a_pod_mounts_is_there_and_named_once(name: str) -> None:
    claims = {one["metadata"]["name"] for one in named("StatefulSet")[name]["spec"].get("volumeClaimTemplates", [])}
    pod = PODS[name]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    mounted = {one["name"] for container in pod["containers"] for one in container["volumeMounts"]}
    assert mounted == volumes.keys() | claims
    for volume in volumes.values():
        if "configMap" in volume:
            assert volume["configMap"]["name"] in named("ConfigMap")
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in named("PersistentVolumeClaim")
    # The secret is made of what docker/secrets.sh writes.
    keys = {item["key"] for volume in volumes.values() for item in volume.get("secret", {}).get("items", [])}
    assert keys <= set(re.findall(r"\$folder/(\w+)\"", (DOCKER / "secrets.sh").read_text()))


def test_selectors_ports_and_policies_fit_one_another() -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in PODS.items()}
    ports = {
        name: {port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]} for name, pod in PODS.items()
    }
    for name, service in named("Service").items():
        assert service["spec"]["selector"] == labels[name]
        assert {port["port"] for port in service["spec"]["ports"]} == ports[name]
    policies = named("NetworkPolicy")
    assert policies.pop("nothing")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert policies.keys() == PODS.keys()
    for name, policy in policies.items():
        assert policy["spec"]["podSelector"]["matchLabels"] == labels[name]
        assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == ports[name]
    inside = [peer["podSelector"]["matchLabels"] for peer in peers(policies.values()) if "podSelector" in peer]
    assert all(one in labels.values() for one in inside)


def peers(policies: Any) -> Iterator[dict[str, Any]]:
    for policy in policies:
        for rule in policy["spec"].get("ingress", []):
            yield from rule["from"]
        for rule in policy["spec"].get("egress", []):
            yield from rule["to"]


def test_the_services_settings_are_valid_and_its_pods_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = named("ConfigMap")["curia"]["data"].values()
    (tmp_path / "curia.toml").write_text(text)
    (tmp_path / "curia_token").write_text("t")
    (container,) = PODS["service"]["spec"]["containers"]
    names = {entry["name"]: entry for entry in container["env"]}
    assert names["CURIA_EXECUTOR_ID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    monkeypatch.setenv("CURIA_EXECUTOR_ID", "service-0")
    settings = read_settings(tmp_path / "curia.toml", secrets=tmp_path)
    assert settings.port == container["ports"][0]["containerPort"]
    assert tomllib.loads(text).keys() <= ServiceSettings.model_fields.keys()
    (claim,) = named("StatefulSet")["service"]["spec"]["volumeClaimTemplates"]
    kept = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert Path(kept[claim["metadata"]["name"]]) == settings.data_folder
