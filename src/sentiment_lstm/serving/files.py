"""The page, /docs and the files of the model that a browser reads; nothing else of the disk."""

from __future__ import annotations

import gzip
from html import escape
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from sentiment_lstm import artefact, transformers_js
from sentiment_lstm.errors import SaveError
from sentiment_lstm.serving.static import PAGE, check_vendored

__all__ = ["add_docs", "add_files"]

_SWAGGER = Path(__file__).parent / "swagger"  # written there by `make page`
_SCRIPT, _STYLE = "swagger-ui-bundle.js", "swagger-ui.css"
# Named here, because what Python knows of them depends on the machine, and a browser is strict.
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
}


def add_files(app: FastAPI, model_folder: Path | None, page: Path = PAGE) -> None:
    """Add a route for each file, found now, so that no path of a client's reaches the disk."""
    reason = _why_there_is_no_page(model_folder, page)
    if reason is None:
        for path in sorted(page.rglob("[!.]*")):
            if path.is_file():
                _add_file(app, "/" + path.relative_to(page).as_posix(), path)
        _add_file(app, "/", page / "index.html")
    else:
        _add_sentence(app, "/", reason)
    if model_folder is None or not artefact.onnx_files(model_folder):
        return
    config = transformers_js.config_for_transformers_js(model_folder)

    async def send_config(_: Request) -> Response:
        return JSONResponse(config)

    app.add_route("/model/config.json", send_config, include_in_schema=False)
    for path in transformers_js.copied_files(model_folder):
        _add_file(app, "/model/" + path.relative_to(model_folder).as_posix(), path)


def add_docs(app: FastAPI, swagger: Path = _SWAGGER) -> None:
    """Add Swagger UI, whose scripts FastAPI would take from another host."""
    if not all((swagger / name).is_file() for name in (_SCRIPT, _STYLE)):
        _add_sentence(
            app,
            "/docs",
            "Swagger UI is not in this installation: run `make page` in a checkout of "
            "sentiment-lstm, and then `pip install .` again, unless `make setup` installed it; or "
            "read the schema at /openapi.json.",
        )
        return
    for name in (_SCRIPT, _STYLE):
        _add_file(app, f"/swagger/{name}", swagger / name)
    # Relative, so that it works behind a proxy that puts a path in front.
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=app.title,
        swagger_js_url=f"swagger/{_SCRIPT}",
        swagger_css_url=f"swagger/{_STYLE}",
        swagger_favicon_url="data:,",
    )

    async def docs(_: Request) -> Response:
        return page

    app.add_route("/docs", docs, include_in_schema=False)


def _why_there_is_no_page(model_folder: Path | None, page: Path) -> str | None:
    try:
        check_vendored(page)
    except SaveError as error:
        return str(error)
    if model_folder is None or not artefact.onnx_files(model_folder):
        return (
            "This server's model was not exported, so no browser can run it. "
            "Run `sentiment-lstm export` on its folder and start the server again."
        )
    return None


def _add_file(app: FastAPI, route: str, path: Path) -> None:
    if path.suffix == ".gz":
        _add_packed_file(app, route.removesuffix(".gz"), path)
        return

    async def send(_: Request) -> Response:
        return FileResponse(path, media_type=_media_type(path))

    app.add_route(route, send, include_in_schema=False)


def _add_packed_file(app: FastAPI, route: str, path: Path) -> None:
    """Send a file that is kept compressed as it is, or unpacked to who does not take it so."""
    media_type = _media_type(path.with_suffix(""))
    headers = {"Vary": "Accept-Encoding"}

    async def send(request: Request) -> Response:
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            encoded = {**headers, "Content-Encoding": "gzip"}
            return FileResponse(path, media_type=media_type, headers=encoded)
        plain = await run_in_threadpool(lambda: gzip.decompress(path.read_bytes()))
        return Response(plain, media_type=media_type, headers=headers)

    app.add_route(route, send, include_in_schema=False)


def _media_type(path: Path) -> str:
    return _MEDIA_TYPES.get(path.suffix, "application/octet-stream")


def _add_sentence(app: FastAPI, route: str, sentence: str) -> None:
    content = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{escape(app.title)}</title>\n<p>{escape(sentence)}</p>\n</html>\n"
    )

    async def send(_: Request) -> Response:
        return HTMLResponse(content, status_code=503)

    app.add_route(route, send, include_in_schema=False)
