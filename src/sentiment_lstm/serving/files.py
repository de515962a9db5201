"""The page, and the files of the model that its own runtime reads; nothing else of the disk."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from sentiment_lstm import artefact

__all__ = ["add_files"]

_PAGE = Path(__file__).parent / "page"
_MODEL_FILES = (artefact.CONFIG, *artefact.TOKENIZER, artefact.CALIBRATION)


def add_files(app: FastAPI, model_folder: Path | None) -> None:
    """Add a route for each file, found now, so that no path of a client's reaches the disk."""
    pages = sorted(path for path in _PAGE.rglob("*") if path.is_file())
    for path in pages:
        _add_file(app, "/" + path.relative_to(_PAGE).as_posix(), path)
    if _PAGE / "index.html" in pages:
        _add_file(app, "/", _PAGE / "index.html")
    else:
        routes = sorted(path for path in app.openapi()["paths"])

        async def index(_: Request) -> Response:
            return JSONResponse({"name": "sentiment-lstm", "docs": "/docs", "routes": routes})

        app.add_route("/", index, include_in_schema=False)
    if model_folder is None:
        return
    found = [model_folder / name for name in _MODEL_FILES]
    for path in [*found, *sorted((model_folder / artefact.ONNX_FOLDER).glob("*"))]:
        if path.is_file():
            _add_file(app, "/model/" + path.relative_to(model_folder).as_posix(), path)


def _add_file(app: FastAPI, route: str, path: Path) -> None:
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    async def send(_: Request) -> Response:
        return FileResponse(path, media_type=media_type)

    app.add_route(route, send, include_in_schema=False)
