"""Make the pictures of docs/tour.md: ``make tour`` (a real Orthanc, the demo's two studies, a real browser, OHIF).

Written to docs/images as ``tour-*.webp``; the whole screens that they are made of stay in build/tour.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/support")]

from integration.ohif_site import PUPPETEER, ohif_url, view_study  # noqa: E402
from integration.running_site import FAST, Site, find_browser, running_site  # noqa: E402
from orthanc_plugin.demo.local_orthanc import USER  # noqa: E402
from orthanc_plugin.demo.sender import study_instance_uid  # noqa: E402

STUDIES = [ROOT / "tests/data" / name for name in ("ct_chest_lidc0314", "ct_thigh_sts003")]
SCREENS = ROOT / "build/tour"
PICTURES = ROOT / "docs/images"
WIDTH = 1000
SCREEN_OF = {
    "work-list": "work-list",
    "study-page": "study-page",
    "finding": "finding",
    "heat-map": "heat-map",
    "looks-alike": "looks-alike",
    "ohif-segments": "chest/SEG",
    "ohif-report": "thigh/SR",
}
"""The screen that each picture is made of."""


def take_screens(site: Site) -> None:
    views = []
    for study in STUDIES:
        paths = sorted(study.glob("*.dcm"))
        site.send(paths)
        views.append(site.wait_for_state(study_instance_uid(paths[0]), "stored"))
    address = [site.orthanc.url, USER, site.orthanc.password, *(view["orthanc_id"] for view in views), SCREENS]
    command = ["node", ROOT / "tests/node/tour.mjs", PUPPETEER, find_browser(), *address]
    subprocess.run(command, check=True, timeout=300)
    chest, thigh = (view["study_instance_uid"] for view in views)
    with ohif_url(site.orthanc) as url:
        view_study(url, chest, [("SEG", "AI segmentation", "lung")], SCREENS / "chest")
        # The report's first finding is the body region, its second one the mass.
        view_study(url, thigh, [("SR", "AI findings", "Volume: ", 1)], SCREENS / "thigh")


def main() -> None:
    shutil.rmtree(SCREENS, ignore_errors=True)
    SCREENS.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="curia-tour-") as folder:
        with running_site(Path(folder), service=FAST) as site:
            site.wait_for_pipeline()
            take_screens(site)
    for name, screen in SCREEN_OF.items():
        with Image.open(SCREENS / f"{screen}.png") as whole:
            size = WIDTH, round(whole.height * WIDTH / whole.width)
            small = whole.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        path = PICTURES / f"tour-{name}.webp"
        small.save(path, quality=85, method=6)
        sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
