"""What the MAP does when it is started: show or copy out its manifests, or run the application.

The guideline (MONAI Application Package, "Manifest Extraction") asks for both; the paths are its own. Lies in the image
as ``/opt/holoscan/app/__main__.py`` and needs nothing but the standard library.
"""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

ETC = Path("/etc/holoscan")
EXPORT = Path("/var/run/holoscan/export")
PARTS = {
    "app": (Path("/opt/holoscan/app"),),
    "config": (Path("/var/holoscan/app.yaml"), ETC / "app.json", ETC / "pkg.json"),
    "models": (Path("/opt/holoscan/models"),),
    "docs": (Path("/opt/holoscan/docs"),),
}


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["show"]:
        return show(arguments[1:])
    if EXPORT.is_dir():
        return copy_out()
    manifest = json.loads((ETC / "app.json").read_text())
    for name, value in manifest["environment"].items():
        os.environ.setdefault(name, value)
    os.chdir(manifest["workingDirectory"])
    program, *rest = shlex.split(manifest["command"])
    os.execv(program, [program, *rest, *arguments])


def show(names: list[str]) -> int:
    """Print the manifests named, ``app`` and ``pkg``; both where none is."""
    for name in names or ["app", "pkg"]:
        path = ETC / f"{name}.json"
        if not path.is_file():
            sys.stderr.write(f"show: expected app or pkg, got {name}\n")
            return 2
        sys.stdout.write(path.read_text())
    return 0


def copy_out() -> int:
    """Copy the parts whose folders are mounted below the export folder; all of them where none is."""
    asked = [part for part in PARTS if (EXPORT / part).is_dir()]
    for part in asked or PARTS:
        for source in PARTS[part]:
            target = EXPORT / part if source.is_dir() else EXPORT / part / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
