"""The pages' scripts and styles."""

import mimetypes
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import Depends, FastAPI, HTTPException, Response

from orthanc_plugin.web.guard import Guard


def add_static_routes(application: FastAPI, guard: Guard) -> None:
    files = dict(_files(resources.files("orthanc_plugin.web") / "static"))

    @application.get("/curia/static/{path:path}", dependencies=[Depends(guard.check_token)])
    def static_file(path: str) -> Response:
        if path not in files:
            raise HTTPException(404, "no such file")
        kind, _ = mimetypes.guess_type(path)
        return Response(files[path], media_type=kind or "application/octet-stream")


def _files(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    """Path and content of every file below a folder; read once, so that no path can lead elsewhere."""
    found = []
    for entry in folder.iterdir():
        path = prefix + entry.name
        found += _files(entry, path + "/") if entry.is_dir() else [(path, entry.read_bytes())]
    return found
