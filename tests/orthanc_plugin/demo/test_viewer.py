"""The demo's viewer: its own files to everybody, the archive only to who logs in there."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from answering_archive import Archive
from orthanc_plugin.demo.viewer import Viewer


@pytest.fixture
def archive() -> Iterator[Archive]:
    server = Archive({"GET /dicom-web/studies?limit=1": [(401, b"log in"), (200, b"[]")]})
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def viewer(archive: Archive, tmp_path: Path) -> Iterator[Viewer]:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text("<p>viewer")
    (tmp_path / "dist" / "app.js").write_text("1")
    (tmp_path / "secret.txt").write_text("not for anybody")
    viewer = Viewer(tmp_path / "dist", archive_url=f"http://127.0.0.1:{archive.server_port}")
    with viewer.running():
        yield viewer


def ask(viewer: Viewer, path: str, **headers: str) -> httpx.Response:
    return httpx.get(viewer.url + path, headers=headers, trust_env=False)


def test_a_study_is_asked_for_with_the_browsers_own_log_in(archive: Archive, viewer: Viewer) -> None:
    assert ask(viewer, "/dicom-web/studies?limit=1").status_code == 401
    answer = ask(viewer, "/dicom-web/studies?limit=1", Authorization="Basic YTpi")
    assert (answer.status_code, answer.text) == (200, "[]")
    assert [headers.get("Authorization") for _, headers in archive.seen] == [None, "Basic YTpi"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/app.js", "1"),
        ("/viewer?StudyInstanceUIDs=1.2", "<p>viewer"),
        ("/%2e%2e/secret.txt", "<p>viewer"),
        ("/../secret.txt", "<p>viewer"),
    ],
)
def test_its_files_are_served_and_no_others(viewer: Viewer, path: str, content: str) -> None:
    assert ask(viewer, path).text == content


def test_its_settings_ask_the_archive_at_its_own_address(viewer: Viewer) -> None:
    assert 'qidoRoot: "/dicom-web"' in ask(viewer, "/app-config.js").text
