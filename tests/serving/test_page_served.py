"""The page and /docs as `sentiment-lstm serve` gives them, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from sentiment_lstm import runtime
from tests.serving.browsing import GOOD, downloaded, enter, opened, upload
from tests.serving.test_server import Server, start


@pytest.fixture(scope="module")
def server(
    vendored: None, exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    server = start(exported, tmp_path_factory.mktemp("server") / "log")
    yield server
    server.process.kill()
    server.process.wait()


def test_the_page_at_the_root_says_what_python_says(
    browser: Browser, server: Server, exported: Path
):
    prediction = runtime.load(exported, batch_tokens=1).predict([GOOD])[0]
    page = opened(browser, server.url)
    enter(page, GOOD)
    verdict = page.inner_text("#verdict")
    assert prediction.label in verdict
    assert f"{100 * prediction.confidence:.1f} %" in verdict
    upload(page)
    assert len(downloaded(page)) == 6
    page.close()
    # The browser did it all: no text was sent to the server.
    asked = [line["path"] for line in server.lines() if "path" in line]
    assert "/model/onnx/model.onnx" in asked
    assert not {"/predict", "/explain"} & set(asked)


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/page.css", "text/css"),
        ("/vendor/ort.wasm.min.mjs", "text/javascript"),
        ("/vendor/ort-wasm-simd-threaded.wasm", "application/wasm"),
        ("/vendor/LICENSE.onnxruntime-web.txt", "text/plain"),
        ("/vendor/NOTICES.onnxruntime-web.txt", "text/plain"),
        ("/model/config.json", "application/json"),
        ("/model/onnx/model.onnx", "application/octet-stream"),
    ],
)
def test_every_file_says_what_it_is(server: Server, path: str, media_type: str):
    answer = httpx.get(server.url + path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == media_type


def test_what_is_kept_compressed_goes_out_so_and_to_others_unpacked(server: Server):
    url = f"{server.url}/vendor/ort-wasm-simd-threaded.wasm"
    packed = httpx.get(url, headers={"Accept-Encoding": "br, gzip"})
    plain = httpx.get(url, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content  # as a client unpacks it
    assert plain.content.startswith(b"\0asm")
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


def test_the_model_is_the_one_that_the_command_writes(server: Server, site: Path):
    written = {path for path in (site / "model").rglob("*") if path.is_file()}
    assert site / "model" / "config.json" in written
    for path in written - {site / "model" / "config.json"}:
        served = httpx.get(f"{server.url}/{path.relative_to(site).as_posix()}")
        assert served.content == path.read_bytes(), path.name
    served = httpx.get(f"{server.url}/model/config.json")
    assert served.json() == runtime.artefact.read_json(site / "model" / "config.json")


def test_the_docs_ask_no_other_host(browser: Browser, server: Server):
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/docs")
    page.wait_for_selector("text=/predict")
    assert page.locator(".opblock").count() > 5
    assert f"{server.url}/openapi.json" in asked
    for url in asked:
        assert url.startswith((server.url + "/", "data:")), url
    page.close()


def test_a_reader_who_knows_the_key_gets_the_page(
    vendored: None, browser: Browser, exported: Path, tmp_path: Path
):
    server = start(exported, tmp_path / "log", SENTIMENT_LSTM_API_KEY="s3cret")
    try:
        context = browser.new_context()
        assert context.request.get(server.url).status == 401
        context.close()
        context = browser.new_context(http_credentials={"username": "anyone", "password": "s3cret"})
        page = context.new_page()
        page.goto(server.url)
        page.wait_for_selector("body[data-ready]")
        enter(page, GOOD)
        context.close()
    finally:
        server.process.kill()
        server.process.wait()
