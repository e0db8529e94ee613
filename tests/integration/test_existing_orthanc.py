"""An Orthanc that was there before gets the plugin, and later loses it again."""

import hashlib
from pathlib import Path

import pytest

from integration.running_site import FAST, Site, build_small_study, running_site
from orthanc_plugin.archive.labels import METADATA
from orthanc_plugin.demo.local_orthanc import PLUGIN_FOLDERS

pytestmark = pytest.mark.integration


def _plugins(*names: str) -> dict[str, object]:
    found = [str(folder / name) for name in names for folder in PLUGIN_FOLDERS if (folder / name).exists()]
    assert len(found) == len(names)
    return {"Plugins": found}


# What the site had: another plugin, and settings of its own.
BEFORE = _plugins("libOrthancDicomWeb.so") | {"PythonScript": "", "OverwriteInstances": True, "Curia": {}}
WITH_CURIA = _plugins("libOrthancDicomWeb.so", "libOrthancPython.so") | {"OverwriteInstances": True}


def _look(site: Site) -> dict[str, object]:
    """What Orthanc is and holds, as far as a plugin could change it."""
    system = {key: value for key, value in site.get("/system").items() if key not in ("DicomPort", "HttpPort")}
    files = {
        instance: hashlib.sha256(site.orthanc.http.get(f"/instances/{instance}/file").content).hexdigest()
        for instance in site.get("/instances")
    }
    metadata = {study: site.get(f"/studies/{study}/metadata") for study in site.get("/studies")}
    return {"system": system, "plugins": sorted(site.get("/plugins")), "files": files, "metadata": metadata}


def test_plugin_comes_and_goes(tmp_path: Path) -> None:
    uid, paths = build_small_study("before-us", tmp_path / "study")
    with running_site(tmp_path / "orthanc", extra=BEFORE) as site:
        site.send(paths)
        before = _look(site)
        assert site.orthanc.http.get("/curia/worklist").status_code == 404
    with running_site(tmp_path / "orthanc", service=FAST, extra=WITH_CURIA) as site:
        assert sorted(site.get("/plugins")) == ["dicom-web", "explorer.js", "python"]
        view = site.wait_for_state(uid, "stored", "failed")
        assert view["state"] == "stored", view["reason"]
    with running_site(tmp_path / "orthanc", extra=BEFORE) as site:
        after = _look(site)
        assert site.modalities(view["orthanc_id"]) == {"CT": 1, "SR": 1}
        for entry in view["objects"]:
            del after["files"][entry["orthanc_instance_id"]]
        # An Orthanc without labels keeps how the study stood as metadata.
        after["metadata"][view["orthanc_id"]].remove(str(METADATA))
        assert after == before
