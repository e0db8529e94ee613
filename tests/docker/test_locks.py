"""The locks: every package at one version with the digests of its files, and installed as they say."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import map_context
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
ENTRY = re.compile(
    r"([a-z0-9][a-z0-9-]*)==([^ ;]+) \\\n((?:    --hash=sha256:[0-9a-f]{64} \\\n)*    --hash=sha256:[0-9a-f]{64})\n"
)


def locked() -> dict[str, str]:
    """Version by name, over all locks."""
    return {name: version for path in LOCKS for name, version, _ in ENTRY.findall(path.read_text())}


def test_every_line_belongs_to_a_package_with_one_version_and_digests() -> None:
    assert [path.name for path in LOCKS] == ["requirements-cuda.lock", "requirements-torch.lock", "requirements.lock"]
    names = []
    for path in LOCKS:
        head, rest = path.read_text().split("\n", 1)
        assert head.startswith("# ")
        assert ENTRY.sub("", rest) == ""
        names += [name for name, _, _ in ENTRY.findall(rest)]
    assert len(names) == len(set(names)) > 200


def test_what_the_project_asks_for_is_locked_within_its_bounds() -> None:
    versions = locked()
    for line in metadata.requires("curia-pacs") or ():
        requirement = Requirement(line)
        # MONAI itself is installed beside the application, see the Makefile.
        if requirement.name == "monai":
            continue
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_what_is_installed_here_is_what_is_locked() -> None:
    installed = {canonicalize_name(part.name): part.version for part in metadata.distributions()}
    differing = {
        name: (version, installed.get(name))
        for name, version in locked().items()
        if name in installed and installed[name].split("+")[0] != version
    }
    assert differing == {}


def test_what_is_locked_can_be_installed_by_debian_12s_own_python() -> None:
    wanted = {
        canonicalize_name(part.name): part.metadata["Requires-Python"]
        for part in metadata.distributions()
        if part.version.split("+")[0] == locked().get(canonicalize_name(part.name))
    }
    assert "numpy" in wanted
    assert {name: wish for name, wish in wanted.items() if wish and "3.11.2" not in SpecifierSet(wish)} == {}


def test_the_locks_need_nothing_that_they_do_not_name() -> None:
    versions = locked()
    for name in ENTRY.findall((ROOT / "requirements.lock").read_text()):
        for line in metadata.requires(name[0]) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert canonicalize_name(requirement.name) in versions, f"{name[0]} needs {line}"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    return tmp_path / "venv"


def test_torch_comes_from_the_index_in_either_build_and_another_file_is_refused(
    tmp_path: Path, environment: Path
) -> None:
    for_cuda = wheel(tmp_path / "pypi", "torch", "1.0", needs="nvidia-library==2.0")
    library = wheel(tmp_path / "pypi", "nvidia_library", "2.0")
    for_cpus = wheel(tmp_path / "other", "torch", "1.0+cpu")
    other, tool = (wheel(tmp_path / "other", name, "99.0") for name in ("setuptools", "tool"))
    lock(tmp_path / "requirements.lock", "setuptools==99.0", other)
    lock(tmp_path / "tool.lock", "tool==99.0", tool)
    with (tmp_path / "requirements.lock").open("a") as stream:
        stream.write((tmp_path / "tool.lock").read_text())
    (tmp_path / "names").write_text("setuptools\nnot-locked\n")
    lock(tmp_path / "requirements-torch.lock", "torch==1.0", for_cuda, for_cpus)
    lock(tmp_path / "requirements-cuda.lock", "nvidia-library==2.0", library)

    assert install(environment, tmp_path, "other") == {"setuptools": "99.0", "torch": "1.0+cpu"}
    for_cpus.unlink()
    wanted = {"setuptools": "99.0", "torch": "1.0", "nvidia_library": "2.0"}
    assert install(environment, tmp_path, "other", "pypi") == wanted
    # Another torch under the same name, as somebody between the index and us might have put it there.
    wheel(tmp_path / "pypi", "torch", "1.0", needs="nvidia-library==2.0 ; python_version > '3'")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        install(environment, tmp_path, "other", "pypi")
    assert "DO NOT MATCH THE HASHES" in refused.value.stderr


def install(environment: Path, locks: Path, *folders: str) -> dict[str, str]:
    """What is there besides pip once the script has installed the locks from the folders named."""
    python = environment / "bin/python"
    options = [f"--find-links={locks / name}" for name in folders]
    command = [ROOT / "docker/install-locked.sh", python, locks, "--only", locks / "names", "--no-index", *options]
    alone = {"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null"}
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "torch"], check=True, env=alone)
    subprocess.run(command, check=True, capture_output=True, text=True, env=alone)
    listed = subprocess.run([python, "-m", "pip", "freeze", "--all"], check=True, capture_output=True, text=True)
    return {name: version for name, version in re.findall("(.+)==(.+)", listed.stdout) if name != "pip"}


def wheel(folder: Path, name: str, version: str, *, needs: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    metadata_lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    if needs:
        metadata_lines.append(f"Requires-Dist: {needs}")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{about}/METADATA", "\n".join(metadata_lines) + "\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def lock(path: Path, pin: str, *files: Path) -> None:
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    path.write_text(" \\\n    ".join([pin, *(f"--hash=sha256:{digest}" for digest in digests)]) + "\n")


@pytest.mark.parametrize("image", ["service", "trainer"])
def test_an_image_gets_what_it_needs_in_licences_that_may_be_shipped_and_no_tools(image: str) -> None:
    names = (ROOT / f"docker/{image}.packages").read_text().split()
    assert set(names) <= {name for name, _, _ in ENTRY.findall((ROOT / "requirements.lock").read_text())}
    assert not {"pytest", "mypy", "ruff", "simpleitk", "mkdocs"} & set(names)
    lacking = {needed for name in names for needed in needs(name, set()) if needed not in names and needed != "torch"}
    assert lacking == set()
    assert needs("curia-pacs", {"gpu"} if image == "service" else {"gpu", "trainer"}) - {"monai", "torch"} <= set(names)
    for name in names:
        words = map_context.licence(name)
        assert words != "not stated", name
        assert "GPL" not in words.replace("LGPL", ""), (name, words)


def needs(name: str, extras: set[str]) -> set[str]:
    """What a distribution asks for, by name."""
    requirements = [Requirement(line) for line in metadata.requires(name) or ()]
    return {
        canonicalize_name(one.name)
        for one in requirements
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    }


def test_the_images_bills_name_what_they_install(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "docker/image_bills.py", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    for image in ("service", "trainer"):
        bill = json.loads((tmp_path / f"{image}.cdx.json").read_text())
        named = {part["name"]: part["version"] for part in bill["components"]}
        wanted = {"torch", *(ROOT / f"docker/{image}.packages").read_text().split()}
        assert named == {name: version for name, version in locked().items() if name in wanted}
        assert all(part["licenses"] for part in bill["components"])
