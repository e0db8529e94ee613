"""What a real browser sees of a real Orthanc in the OHIF viewer."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from integration.running_site import find_browser
from orthanc_plugin.demo.local_orthanc import USER, LocalOrthanc
from orthanc_plugin.demo.viewer import Viewer

ROOT = Path(__file__).parents[2]
VIEWER = ROOT / "build" / "ohif-app" / "dist"
PUPPETEER = ROOT / "build" / "node" / "node_modules" / "puppeteer-core"

Step = tuple[str, str, str] | tuple[str, str, str, int]
"""A name, the start of a series description, a text that tells that it is open, how many of its findings to skip."""


@contextmanager
def ohif_url(orthanc: LocalOrthanc) -> Iterator[str]:
    """The address of the viewer, which asks Orthanc as its user."""
    assert VIEWER.is_dir(), f"{VIEWER} is missing: make test unpacks it"
    login = base64.b64encode(f"{USER}:{orthanc.password}".encode()).decode()
    viewer = Viewer(VIEWER, archive_url=orthanc.url, authorization=f"Basic {login}")
    with viewer.running():
        yield viewer.url


def view_study(url: str, study_instance_uid: str, steps: Sequence[Step], pictures: Path) -> dict[str, Any]:
    """What ``tests/node/view_study.mjs`` tells of the study; its screenshots go to the folder *pictures*."""
    node = shutil.which("node")
    assert node, "node is missing: make test installs it"
    assert PUPPETEER.is_dir(), f"{PUPPETEER} is missing: make test installs it"
    pictures.mkdir(parents=True, exist_ok=True)
    script = ROOT / "tests" / "node" / "view_study.mjs"
    command = [node, script, PUPPETEER, find_browser(), url, study_instance_uid, pictures, json.dumps(steps)]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert seen.returncode == 0, seen.stderr
    return dict(json.loads(seen.stdout))
