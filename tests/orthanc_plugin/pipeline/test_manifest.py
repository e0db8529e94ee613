"""Results on disk: whole, torn, and as other versions wrote them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from orthanc_plugin.domain.errors import TornResultError
from orthanc_plugin.pipeline.manifest import Manifest, read_manifest, read_result

DICOM = b"bytes of an object"
OUTPUT = {
    "path": "a.dcm", "kind": "SR", "sop_class_uid": "1", "series_instance_uid": "2", "sop_instance_uid": "3",
    "sha256": hashlib.sha256(DICOM).hexdigest(), "bytes": len(DICOM),
}  # fmt: skip


def write(folder: Path, **output: Any) -> None:
    (folder / "a.dcm").write_bytes(DICOM)
    (folder / "result.json").write_text(json.dumps({"status": "completed", "outputs": [OUTPUT | output]}))


def test_a_whole_result_is_read_and_where_none_is_there_is_none(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    write(tmp_path)
    result = read_result(tmp_path)
    assert result is not None
    assert [output.kind for output in result.outputs] == ["SR"]


@pytest.mark.parametrize("text", ["", "\0" * 200, '{"status": "comp', "[]", '{"status": 1}'])
def test_a_manifest_that_is_none_is_torn(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(TornResultError, match=r"result\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("dicom", [b"", bytes(len(DICOM)), DICOM + b"!"])
def test_a_file_of_other_bytes_is_torn(tmp_path: Path, dicom: bytes) -> None:
    write(tmp_path)
    (tmp_path / "a.dcm").write_bytes(dicom)
    with pytest.raises(TornResultError, match="differs from its SHA-256"):
        read_result(tmp_path)


def test_a_result_names_files_of_its_own_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "outside").write_bytes(DICOM)
    for path in ("../outside", "gone.dcm"):
        write(folder, path=path)
        with pytest.raises(TornResultError, match="not in the result folder"):
            read_result(folder)


def test_what_is_not_known_is_ignored_and_what_older_versions_lack_is_empty() -> None:
    manifest = Manifest.model_validate({"status": "partial", "registration": None, "of_a_later_version": 1})
    assert (manifest.registration, manifest.series) == ((), ())
