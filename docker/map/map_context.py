"""Write the whole build context of the MONAI Application Package: no container engine, no network.

    python docker/map/map_context.py --out build/map [--model FOLDER] [--gpu]

The manifests follow the MONAI Application Package guideline (MAP 1.0); both are made here from ``app/app.yaml``,
``pyproject.toml`` and the model folder, so that no figure stands in two places.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sbom import bill_of_materials

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
API_VERSION = "1.0.0"
CUDA_LOCK = "requirements-cuda.lock"
LOCKS = ("requirements.lock", "requirements-torch.lock", CUDA_LOCK)

COMMAND = "/opt/curia/bin/python3 -m app"
ENVIRONMENT = {
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
    "HOLOSCAN_WORKDIR": "/var/holoscan",
    "HOLOSCAN_MODEL_PATH": "/opt/holoscan/models",
    "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
    "HOLOSCAN_APP_MANIFEST_PATH": "/etc/holoscan/app.json",
    "HOLOSCAN_PKG_MANIFEST_PATH": "/etc/holoscan/pkg.json",
    "HOLOSCAN_DOCS": "/opt/holoscan/docs",
    "HOLOSCAN_LOGS": "/var/holoscan/logs",
}


def build_context(out: Path, *, model: Path, gpu: bool) -> None:
    """Everything that the Dockerfile copies, in an empty or earlier *out*.

    model : model folder; goes into a sub-folder of the package's model root
    gpu : with what only a GPU needs among the packages, and a GPU among the resources
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    application = yaml.safe_load((ROOT / "app/app.yaml").read_text())
    dockerfile = (HERE / "Dockerfile").read_text()
    (out / "Dockerfile").write_text(dockerfile.replace("ARG VERSION\n", f"ARG VERSION={project['version']}\n"))
    shutil.copyfile(ROOT / "app/app.yaml", out / "app.yaml")
    (out / "app").mkdir()
    shutil.copyfile(HERE / "entry.py", out / "app/__main__.py")
    shutil.copytree(model, out / "models" / _model_name(model))
    _write_json(out / "map/app.json", app_manifest(application, project["version"]))
    _write_json(out / "map/pkg.json", package_manifest(application, project["version"], _model_name(model), gpu=gpu))
    packages = shipped_packages(project["name"], extras=("gpu",) if gpu else ())
    write_locks(out, packages)
    _write_documents(out / "docs", packages)
    bill = bill_of_materials(project["name"], project["version"], packages, licence)
    (out / "docs/sbom.cdx.json").write_text(bill + "\n")
    build_wheel(out / "wheels")


def app_manifest(application: dict[str, Any], version: str) -> dict[str, Any]:
    """``/etc/holoscan/app.json``."""
    about = application["application"]
    return {
        "apiVersion": API_VERSION,
        "command": COMMAND,
        "environment": ENVIRONMENT,
        "input": {"path": "input", "formats": about["input-formats"]},
        "output": {"path": "output", "formats": about["output-formats"]},
        "sdk": "monai-deploy-app-sdk",
        "sdkVersion": metadata.version("monai-deploy-app-sdk"),
        "timeout": about["timeout-seconds"],
        "version": version,
        "workingDirectory": ENVIRONMENT["HOLOSCAN_WORKDIR"],
    }


def package_manifest(application: dict[str, Any], version: str, model: str, *, gpu: bool) -> dict[str, Any]:
    """``/etc/holoscan/pkg.json``; the GPU's share stands in it only where one is asked for."""
    asked = application["resources"]
    resources = {"cpu": asked["cpu"], "memory": asked["memory"], "sharedMemory": asked["shared-memory"]}
    resources |= {"gpu": 1, "gpuMemory": asked["gpu-memory"]} if gpu else {"gpu": 0}
    return {
        "apiVersion": API_VERSION,
        "applicationRoot": "/opt/holoscan/app",
        "modelRoot": ENVIRONMENT["HOLOSCAN_MODEL_PATH"],
        "models": [{"name": model, "path": model}],
        "resources": resources,
        "version": version,
    }


def shipped_packages(name: str, *, extras: tuple[str, ...]) -> dict[str, str]:
    """What the installed distribution *name* needs, and what that needs, with the versions of the locks."""
    locked = {name: text for lock in LOCKS for name, text in locked_entries(lock).items()}
    found: dict[str, str] = {}
    waiting = [(name, extras)]
    seen = set()
    while waiting:
        current, wanted = waiting.pop()
        if (current, wanted) in seen:
            continue
        seen.add((current, wanted))
        for line in metadata.requires(current) or ():
            requirement = Requirement(line)
            if requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in ("", *wanted)
            ):
                needed = canonicalize_name(requirement.name)
                if needed not in locked:
                    raise SystemExit(f"{needed}: {current} needs it and no lock has it; make lock")
                found[needed] = locked[needed].split("==", 1)[1].split()[0]
                waiting.append((needed, tuple(sorted(requirement.extras))))
    return dict(sorted(found.items()))


def write_locks(out: Path, packages: dict[str, str]) -> None:
    """The locks with nothing but *packages*; whole that of torch's CUDA libraries, since the index decides of them."""
    shutil.copy(HERE.parent / "install-locked.sh", out / "install-locked.sh")
    for lock in LOCKS:
        entries = locked_entries(lock)
        wanted = entries if lock == CUDA_LOCK else {name: text for name, text in entries.items() if name in packages}
        (out / lock).write_text("".join(wanted.values()))


def build_wheel(out: Path) -> Path:
    """The project's wheel; hatchling makes the same bytes of the same files."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (wheel,) = out.glob("*.whl")
    return wheel


def _model_name(model: Path) -> str:
    description = model / "model.toml"
    name = tomllib.loads(description.read_text())["name"] if description.exists() else model.resolve().name
    return re.sub(r"[^a-z0-9_.-]", "-", str(name).lower())


def _write_documents(out: Path, packages: dict[str, str]) -> None:
    out.mkdir()
    shutil.copyfile(ROOT / "README.md", out / "README.md")
    shutil.copyfile(ROOT / "LICENSE", out / "LICENSE")
    shutil.copyfile(ROOT / "orthanc_plugin/LICENSE-AGPL", out / "LICENSE-AGPL")
    lines = [f"{name} {version}: {licence(name)}\n" for name, version in packages.items()]
    (out / "third-party-licences.txt").write_text("".join(lines))


def licence(name: str) -> str:
    """As the installed distribution states it: the SPDX expression, the classifiers, or the free words."""
    about = metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return expression
    classifiers = [value for value in about.get_all("Classifier") or () if value.startswith("License :: ")]
    if classifiers:
        return "; ".join(value.rsplit(" :: ", 1)[-1] for value in classifiers)
    return (about.get("License") or "not stated").strip().splitlines()[0]


def locked_entries(lock: str) -> dict[str, str]:
    """A lock's lines on each package, version and digests, by the package's name."""
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return {entry.split("==", 1)[0]: entry for entry in entries if not entry.startswith("#")}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build/map")
    parser.add_argument("--model", type=Path, default=ROOT / "app/demo_model")
    parser.add_argument("--gpu", action="store_true")
    given = parser.parse_args()
    build_context(given.out, model=given.model, gpu=given.gpu)
    sys.stdout.write(f"the build context is in {given.out}: docker build {given.out}\n")


if __name__ == "__main__":
    main()
