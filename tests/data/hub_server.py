"""A hub of data sets on this machine: the few requests that `load_dataset` makes, from a folder."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "0" * 40


@contextmanager
def serve_hub(root: Path, *, status: int | None = None) -> Iterator[str]:
    """Serve `root/owner/name/...` as data sets; give the endpoint for HF_ENDPOINT.

    With a `status`, the answer to everything is that status.
    """

    class Handler(_Handler):
        folder = root
        always = status

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    folder: Path
    always: int | None

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.always is not None:
            return self._send(self.always, b"")
        match unquote(urlparse(self.path).path).strip("/").split("/"):
            case ["datasets", owner, name, "resolve", _, *file]:
                self._send_file(self.folder.joinpath(owner, name, *file))
            case ["api", "datasets", owner, name, *rest]:
                self._send_description(self.folder / owner / name, rest, body)
            case _:
                self._send(200, b"{}")

    do_HEAD = do_POST = do_GET

    def _send_file(self, path: Path) -> None:
        if path.is_file():
            self._send(200, path.read_bytes(), ETag=f'"{_digest(path)}"')
        else:
            self._send(404, b"", **{"X-Error-Code": "EntryNotFound"})

    def _send_description(self, repository: Path, rest: list[str], body: str) -> None:
        if not repository.is_dir():
            return self._send(404, b"", **{"X-Error-Code": "RepoNotFound"})
        files = [
            {
                "type": "file",
                "oid": _digest(path),
                "size": path.stat().st_size,
                "path": path.relative_to(repository).as_posix(),
            }
            for path in sorted(repository.rglob("*"))
            if path.is_file()
        ]
        content: object
        match rest:
            case ["tree", *_]:
                content = files
            case ["paths-info", *_]:
                wanted = json.loads(body) if body.startswith("{") else parse_qs(body)
                content = [file for file in files if file["path"] in wanted["paths"]]
            case _:
                content = {
                    "id": f"{repository.parent.name}/{repository.name}",
                    "sha": COMMIT,
                    "private": False,
                    "tags": [],
                    "siblings": [{"rfilename": file["path"]} for file in files],
                }
        return self._send(200, json.dumps(content).encode())

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "X-Repo-Commit": COMMIT}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
