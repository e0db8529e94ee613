"""What other platforms are told of the package: their own fields, and the start that each of them makes of it.

The fields are restated from the platforms' sources: mercure's ``common/types.py``, the Workflow Manager's workflow
specification and its Docker plug-in's keys, the XNAT container service's description of a command.
"""

import json
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal

import map_context
import pytest
from pydantic import BaseModel, ConfigDict

from operators.study_run.manifest import FILE_NAME, ResultManifest
from packaged_system import MINBASE, PackagedSystem
from trainer.export.model_folder import write_digests

ROOT = Path(__file__).parents[2]
PLATFORMS = ROOT / "docker/platforms"
MERCURE, WORKFLOW, XNAT = (
    json.loads((PLATFORMS / f"{name}.json").read_text()) for name in ("mercure", "workflow-manager", "xnat")
)
OWN_MODEL = "of-the-site"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MercureModule(Strict):
    docker_tag: str
    additional_volumes: str = ""
    environment: str = ""
    docker_arguments: str = ""
    settings: dict[str, Any] = {}
    contact: str = ""
    comment: str = ""
    constraints: str = ""
    resources: str = ""
    requires_root: bool = False


class MercureRule(Strict):
    rule: str
    target: str = ""
    comment: str = ""
    action: Literal["route", "both", "process", "discard", "notification"]
    action_trigger: Literal["series", "study"]
    study_trigger_condition: Literal["timeout", "received_series"]
    priority: Literal["normal", "urgent", "offpeak"]
    processing_module: str
    processing_retain_images: bool = False


class XnatMount(Strict):
    name: str
    writable: bool
    path: str


def test_mercure_knows_every_field_and_the_rule_names_the_module() -> None:
    ((name, module),) = MERCURE["modules"].items()
    (rule,) = (MercureRule(**one) for one in MERCURE["rules"].values())
    assert rule.processing_module == name
    # mercure parses these three as JSON itself; a MAP is run as root there, which its settings have to allow.
    module = MercureModule(**module)
    for text in (module.environment, module.additional_volumes, module.docker_arguments):
        assert isinstance(json.loads(text), dict)
    assert module.requires_root
    # The rule is Python, with the tags between at signs.
    assert eval(re.sub("@(\\w+)@", "tags['\\1']", rule.rule), {"tags": {"Modality": "MR"}}) is True


def test_the_workflows_tasks_lead_to_one_another_and_its_artifacts_are_mounts() -> None:
    tasks = {task["id"]: task for task in WORKFLOW["tasks"]}
    assert {"name", "version", "description", "informatics_gateway", "tasks"} == WORKFLOW.keys()
    assert next(iter(tasks)) == "router"
    reached = {one["name"] for task in tasks.values() for one in task.get("task_destinations", [])}
    assert reached == tasks.keys() - {"router"}
    exported = {one["name"] for task in tasks.values() for one in task.get("export_destinations", [])}
    assert exported <= set(WORKFLOW["informatics_gateway"]["export_destinations"])
    arguments, artifacts = tasks["curia"]["args"], tasks["curia"]["artifacts"]
    assert {"server_url", "entrypoint", "command", "container_image", "temp_storage_container_path"} <= arguments.keys()
    # The plug-in mounts each artifact where the argument of the same name says.
    for artifact in (*artifacts["input"], *artifacts["output"]):
        assert arguments[artifact["name"]].startswith("/var/holoscan/")
    (handed_on,) = tasks["export"]["artifacts"]["input"]
    assert handed_on["value"] == f"{{{{ context.executions.curia.artifacts.{artifacts['output'][0]['name']} }}}}"


def test_xnats_command_refers_to_its_own_mounts_and_outputs() -> None:
    mounts = {one["name"]: XnatMount(**one) for one in XNAT["mounts"]}
    assert XNAT["schema-version"] == "1.0"
    outputs = {one["name"]: one for one in XNAT["outputs"]}
    assert all(mounts[one["mount"]].writable for one in outputs.values())
    (wrapper,) = XNAT["xnat"]
    inputs = {one["name"]: one for one in wrapper["external-inputs"]}
    assert {one["provides-files-for-command-mount"] for one in inputs.values()} == {"study"}
    assert {one["accepts-command-output"] for one in wrapper["output-handlers"]} == outputs.keys()
    assert {one["as-a-child-of-wrapper-input"] for one in wrapper["output-handlers"]} <= inputs.keys()


def test_every_file_names_the_image_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = [
        MERCURE["modules"]["curia"]["docker_tag"],
        WORKFLOW["tasks"][1]["args"]["container_image"],
        XNAT["image"],
    ]
    assert set(images) == {f"curia-pacs-map:{version}"}
    assert {WORKFLOW["version"], XNAT["version"]} == {version}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> PackagedSystem:
    """A package with a model of the site's own, so that a run with the embedded one would be seen."""
    if not MINBASE.is_dir():
        pytest.skip(f"{MINBASE} is not there; make test makes it, as root")
    if (sys.version_info.major, sys.version_info.minor) != (3, 11):
        pytest.skip("the packages here are for another Python than Debian 12's 3.11")
    model = shutil.copytree(ROOT / "app/demo_model", tmp_path_factory.mktemp("model") / "model")
    text = (model / "model.toml").read_text()
    (model / "model.toml").write_text(re.sub(r'^name = ".*"', f'name = "{OWN_MODEL}"', text, flags=re.MULTILINE))
    write_digests(model)
    context = tmp_path_factory.mktemp("context") / "map"
    map_context.build_context(context, model=model, gpu=False)
    return PackagedSystem(context, tmp_path_factory.mktemp("system"))


Start = tuple[list[str], dict[str, str], dict[str, str]]
"""Command, environment, and the places of input and output."""


def of_mercure(manifest: dict[str, Any]) -> Start:
    """The manifest's command without the image's entry; of the manifest's environment nothing."""
    places = {"input": "/tmp/data", "output": "/tmp/output"}
    environment = {"HOLOSCAN_INPUT_PATH": places["input"], "HOLOSCAN_OUTPUT_PATH": places["output"]}
    return manifest["command"].split(), environment, places


def of_the_workflow_manager(_: dict[str, Any]) -> Start:
    """Entry and command split at commas, ``env_`` arguments as variables."""
    arguments = WORKFLOW["tasks"][1]["args"]
    environment = {key[4:]: value for key, value in arguments.items() if key.startswith("env_")}
    places = {"input": environment["HOLOSCAN_INPUT_PATH"], "output": environment["HOLOSCAN_OUTPUT_PATH"]}
    return [*arguments["entrypoint"].split(","), *arguments["command"].split(",")], environment, places


def of_xnat(_: dict[str, Any]) -> Start:
    paths = {one["name"]: one["path"] for one in XNAT["mounts"]}
    assert XNAT["override-entrypoint"]
    environment = XNAT["environment-variables"]
    return shlex.split(XNAT["command-line"]), environment, {"input": paths["study"], "output": paths["results"]}


@pytest.mark.parametrize("platform", [of_mercure, of_the_workflow_manager, of_xnat])
def test_started_as_the_platform_does_it_reads_with_the_packages_own_model(
    system: PackagedSystem, tmp_path: Path, platform: Any
) -> None:
    command, environment, places = platform(json.loads((system.context / "map/app.json").read_text()))
    (tmp_path / "in").mkdir()
    out = system.output_folder(tmp_path / "out")
    mounts = {places["input"]: tmp_path / "in", places["output"]: out}
    ended = system.run([], entry=command, environment=environment, mounts=mounts)
    # An empty folder is a study that cannot be read, and result.json says by which model.
    assert ended.returncode == 4, ended.stderr
    manifest = ResultManifest.model_validate_json((out / FILE_NAME).read_text())
    assert manifest.model is not None
    assert manifest.model.name == OWN_MODEL
