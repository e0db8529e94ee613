"""No module is under no import contract: what is added must be given its place in pyproject.toml."""

import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
CONTRACTS = SETTINGS["importlinter"]["contracts"]
ROOTS = SETTINGS["importlinter"]["root_packages"]
STARTED = ("__main__", "orthanc_plugin.plugin")
"""What Python or Orthanc starts."""
FOR_BUILDERS = ("operators.imaging.warping",)
"""Operations on volumes that our own graph does without."""


def packages_with_rooms() -> list[str]:
    """Packages that hold packages, as dotted names."""
    found = {
        path.parent.parent.relative_to(ROOT)
        for root in ROOTS
        for path in (ROOT / root).rglob("__init__.py")
        if path.parent.name != root
    }
    return sorted(".".join(path.parts) for path in found)


def test_every_distributed_package_is_checked():
    distributed = SETTINGS["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(ROOTS) == sorted(distributed) == sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


@pytest.mark.parametrize("package", packages_with_rooms())
def test_a_package_with_rooms_says_which_room_stands_on_which(package):
    exhaustive = [container for one in CONTRACTS if one.get("exhaustive") for container in one["containers"]]
    assert package in exhaustive, f"{package}: give it an exhaustive layers contract"


def test_nothing_imports_in_a_circle():
    (contract,) = [one for one in CONTRACTS if one["type"] == "acyclic_siblings"]
    assert sorted(contract["ancestors"]) == sorted(ROOTS)
    assert not contract.get("ignore_imports")


def test_every_module_is_used_by_another():
    """A file that nobody imports stands under no contract but its room's, whatever it is."""
    graph = grimp.build_graph(*ROOTS, cache_dir=None)
    packages = {module.rpartition(".")[0] for module in graph.modules}
    alone = {module for module in graph.modules - packages if not graph.find_modules_that_directly_import(module)}
    assert {module for module in alone if not module.endswith(STARTED)} == set(FOR_BUILDERS)
