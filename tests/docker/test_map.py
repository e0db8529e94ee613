"""The MONAI Application Package: its manifests, its packages, and a run of its layout as a container would have it."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urljoin

import jsonschema
import map_context
import pytest
from cyclonedx import schema as cyclonedx_schema
from referencing import Registry, Resource

from engine_system import EngineSystem
from operators.study_run.manifest import FILE_NAME, ResultManifest
from packaged_system import MINBASE, PackagedSystem

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(cyclonedx_schema.__file__).parent / "_res"
STUDY = ROOT / "tests/data/ct_chest_lidc0314"
TRANSFER = {"HOLOSCAN_INPUT_PATH": "/tmp/data", "HOLOSCAN_OUTPUT_PATH": "/tmp/output"}
"""What mercure sets for a module."""


def entries(lock: Path) -> dict[str, str]:
    """A lock's lines for each package, by its name."""
    texts = re.findall(r"^[a-z0-9].*\n(?: .*\n)*", lock.read_text(), flags=re.MULTILINE)
    return {text.split("==")[0]: text for text in texts}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("map") / "context"
    map_context.build_context(out, model=ROOT / "app/demo_model", gpu=False)
    return out


@pytest.mark.parametrize("name", ["app", "pkg"])
def test_the_manifests_are_what_the_guideline_asks_for(context: Path, name: str) -> None:
    schema = json.loads((Path(__file__).parent / f"{name}.schema.json").read_text())
    jsonschema.validate(json.loads((context / f"map/{name}.json").read_text()), schema)


def test_a_gpu_is_asked_for_only_where_one_is_meant(context: Path) -> None:
    application = map_context.yaml.safe_load((ROOT / "app/app.yaml").read_text())
    with_gpu = map_context.package_manifest(application, "1.0.0", "model", gpu=True)["resources"]
    without = json.loads((context / "map/pkg.json").read_text())["resources"]
    assert (with_gpu["gpu"], with_gpu["gpuMemory"]) == (1, "4Gi")
    assert (without["gpu"], "gpuMemory" in without) == (0, False)


def test_only_what_the_application_needs_is_installed_in_the_locked_version(context: Path) -> None:
    wanted = {name: text for lock in map_context.LOCKS[:2] for name, text in entries(context / lock).items()}
    assert wanted.items() < {**entries(ROOT / "requirements.lock"), **entries(ROOT / "requirements-torch.lock")}.items()
    assert {"torch", "holoscan-cu13", "monai-deploy-app-sdk", "highdicom"} <= wanted.keys()
    assert not {"pytest", "ruff", "simpleitk", "submitit"} & wanted.keys()


def test_every_file_that_the_dockerfile_copies_is_in_the_context(context: Path) -> None:
    lines = [line.split() for line in (context / "Dockerfile").read_text().splitlines()]
    copied = [word for words in lines if words[:1] == ["COPY"] and "--from" not in words[1] for word in words[1:-1]]
    assert copied
    assert [name for name in copied if not (context / name).exists()] == []


def test_the_wheel_comes_out_the_same_twice_and_holds_the_four_packages(context: Path, tmp_path: Path) -> None:
    (first,) = (context / "wheels").glob("*.whl")
    second = map_context.build_wheel(tmp_path)
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    tops = {name.split("/")[0] for name in zipfile.ZipFile(first).namelist() if ".dist-info" not in name}
    assert tops == {"app", "operators", "orthanc_plugin", "trainer"}


def test_every_package_states_a_licence_that_may_be_shipped(context: Path) -> None:
    for line in (context / "docs/third-party-licences.txt").read_text().splitlines():
        name, licence = line.split(": ", 1)
        assert licence != "not stated", name
        assert "GPL" not in licence.replace("LGPL", ""), line


def test_the_bill_of_materials_names_every_package_and_is_valid(context: Path) -> None:
    bill = json.loads((context / "docs/sbom.cdx.json").read_text())
    schemas = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.schema.json")}
    schema = schemas["bom-1.6.SNAPSHOT.schema.json"]
    # The schema refers to the others by their file names.
    known = Registry().with_resources(
        (urljoin(schema["$id"], name), Resource.from_contents(one)) for name, one in schemas.items()
    )
    jsonschema.Draft7Validator(schema, registry=known).validate(bill)
    named = {part["name"]: part["version"] for part in bill["components"]}
    assert named == {
        name: text.split()[0].split("==")[1]
        for lock in map_context.LOCKS[:2]
        for name, text in entries(context / lock).items()
    }


@pytest.fixture(scope="module")
def system(
    context: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> PackagedSystem | EngineSystem:
    if engine := request.config.getoption("--engine"):
        return EngineSystem(engine, context)
    if not MINBASE.is_dir():
        pytest.skip(f"{MINBASE} is not there; make test makes it, as root")
    if (sys.version_info.major, sys.version_info.minor) != (3, 11):
        pytest.skip("the packages here are for another Python than Debian 12's 3.11")
    return PackagedSystem(context, tmp_path_factory.mktemp("system"))


def test_the_package_reads_the_demo_study_without_network_as_a_user_without_rights(
    system: PackagedSystem | EngineSystem, tmp_path: Path
) -> None:
    shutil.copytree(STUDY, tmp_path / "in")
    out = system.output_folder(tmp_path / "out")
    ended = system.run([], environment=TRANSFER, mounts={"/tmp/data": tmp_path / "in", "/tmp/output": out})
    assert ended.returncode == 0, ended.stderr
    manifest = ResultManifest.model_validate_json((out / FILE_NAME).read_text())
    assert manifest.status == "completed"
    assert {output.kind for output in manifest.outputs} == {"SEG", "SR"}
    assert (out / FILE_NAME).stat().st_uid == system.USER


def test_show_prints_both_manifests(system: PackagedSystem | EngineSystem) -> None:
    ended = system.run(["show", "pkg"])
    assert json.loads(ended.stdout) == json.loads((system.context / "map/pkg.json").read_text())
    assert system.run(["show", "nothing"]).returncode == 2


def test_what_is_mounted_for_export_receives_the_parts(system: PackagedSystem | EngineSystem, tmp_path: Path) -> None:
    out = system.output_folder(tmp_path / "out")
    assert system.run([], mounts={"/var/run/holoscan/export": out}).returncode == 0
    assert (out / "config/app.json").read_bytes() == (system.context / "map/app.json").read_bytes()
    (model,) = (out / "models").iterdir()
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=model, check=False).returncode == 0


def test_the_built_image_has_the_user_labels_and_health_check_of_its_dockerfile(
    context: Path, request: pytest.FixtureRequest
) -> None:
    engine = request.config.getoption("--engine")
    if not engine:
        pytest.skip("no engine was named; make image names one")
    said = EngineSystem(engine, context).described()
    assert said["User"] == "1000:1000"
    assert said["Entrypoint"] == ["/opt/curia/bin/python3", "/opt/holoscan/app"]
    assert said["Healthcheck"]["Test"] == ["CMD", *said["Entrypoint"], "show"]
    version = json.loads((context / "map/app.json").read_text())["version"]
    assert said["Labels"]["org.opencontainers.image.version"] == version
