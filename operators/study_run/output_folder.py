"""The folder that a run's files go to."""

import json
from pathlib import Path

from operators.dicom.results.for_people.html_preview import FILE_NAME as PREVIEW
from operators.documents import write_whole
from operators.study_run.manifest import FILE_NAME, ResultManifest


def clear_previous(folder: Path) -> None:
    """Remove an earlier run's ``result.json``, the files it lists and its preview, so that nobody mistakes them
    for this run's.
    """
    manifest = folder / FILE_NAME
    if not manifest.is_file():
        return
    names = [entry["path"] for entry in json.loads(manifest.read_text(encoding="utf-8")).get("outputs", ())]
    manifest.unlink()
    (folder / PREVIEW).unlink(missing_ok=True)
    for name in names:
        if Path(name).name == name:
            (folder / name).unlink(missing_ok=True)


def publish(drafts: Path, folder: Path) -> None:
    """Move every file of a good run to where its user looks."""
    for path in sorted(drafts.iterdir()):
        path.replace(folder / path.name)


def write_result_manifest(manifest: ResultManifest, folder: Path) -> None:
    """Write ``result.json``: it is whole or it is not there."""
    write_whole(folder / FILE_NAME, manifest.model_dump_json(by_alias=True, indent=2) + "\n")
