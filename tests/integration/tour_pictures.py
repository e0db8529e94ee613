"""Make the pictures of docs/tour.md: ``make tour`` (a real Orthanc, the demo's thigh, a real browser, OHIF).

Written to docs/images as ``tour-*.webp``; the whole screens that they are made of stay in build/tour.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/support")]

from integration.ohif_site import PUPPETEER, ohif_url, view_study  # noqa: E402
from integration.running_site import find_browser  # noqa: E402
from orthanc_plugin.demo.local_orthanc import USER, LocalOrthanc  # noqa: E402
from orthanc_plugin.demo.sender import send_study, study_instance_uid  # noqa: E402

STUDIES = [ROOT / "tests/data" / name for name in ("ct_chest_lidc0314", "ct_thigh_sts003")]
SCREENS = ROOT / "build/tour"
PICTURES = ROOT / "docs/images"
WIDTH = 1000
SCREEN_OF = {
    "work-list": "work-list",
    "study-page": "study-page",
    "looks-alike": "looks-alike",
    "ohif-segments": "SEG",
    "ohif-report": "SR",
}
"""The screen that each picture is made of."""

RESULT_SECONDS = 300.0


def await_pipeline(orthanc: LocalOrthanc) -> None:
    deadline = time.monotonic() + RESULT_SECONDS
    while time.monotonic() < deadline:
        answer = orthanc.http.get("/curia/health")
        if answer.is_success and answer.json()["pipeline"]["ready"]:
            return
        time.sleep(1.0)
    raise SystemExit(f"the pipeline was not ready within {RESULT_SECONDS:g} s")


def stored(orthanc: LocalOrthanc, study: Path) -> dict[str, Any]:
    """The study's entry of the work list, once its results are in Orthanc."""
    paths = sorted(study.glob("*.dcm"))
    sent = list(send_study(paths, port=orthanc.dicom_port))
    assert len(sent) == len(paths)
    uid = study_instance_uid(paths[0])
    deadline = time.monotonic() + RESULT_SECONDS
    while time.monotonic() < deadline:
        for view in orthanc.http.get("/curia/worklist").json()["studies"]:
            if view["study_instance_uid"] == uid and view["state"] == "stored":
                return dict(view)
        time.sleep(1.0)
    raise SystemExit(f"{study}: no result within {RESULT_SECONDS:g} s")


def main() -> None:
    shutil.rmtree(SCREENS, ignore_errors=True)
    SCREENS.mkdir(parents=True)
    settings = {"quiet_seconds": 1.0, "poll_seconds": 1.0, "devices": ["cpu"]}
    with tempfile.TemporaryDirectory(prefix="curia-tour-") as folder:
        with LocalOrthanc(Path(folder), service=settings) as orthanc:
            await_pipeline(orthanc)
            view = [stored(orthanc, study) for study in STUDIES][-1]
            address = [orthanc.url, USER, orthanc.password, view["orthanc_id"], SCREENS]
            command = ["node", ROOT / "tests/node/tour.mjs", PUPPETEER, find_browser(), *address]
            subprocess.run(command, check=True, timeout=300)
            steps = [("SEG", "AI segmentation", "soft-tissue mass"), ("SR", "AI findings", "Volume: ")]
            with ohif_url(orthanc) as url:
                view_study(url, view["study_instance_uid"], steps, SCREENS)
    for name, screen in SCREEN_OF.items():
        with Image.open(SCREENS / f"{screen}.png") as whole:
            small = whole.convert("RGB").resize(
                (WIDTH, round(whole.height * WIDTH / whole.width)), Image.Resampling.LANCZOS
            )
            path = PICTURES / f"tour-{name}.webp"
            small.save(path, quality=82, method=6)
        sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
