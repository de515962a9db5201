from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, sync_playwright

from sentiment_lstm.classifier import TextClassifier, load
from sentiment_lstm.errors import SaveError
from sentiment_lstm.serving.app import create_app
from sentiment_lstm.serving.settings import Settings
from sentiment_lstm.serving.static import check_vendored, write_page
from tests.serving.browsing import ARGUMENTS, CHROMIUM, opened, serving


@pytest.fixture(scope="session")
def classifier(exported: Path) -> TextClassifier:
    return load(exported)


@pytest.fixture(scope="session")
def client(classifier: TextClassifier, exported: Path) -> Iterator[TestClient]:
    settings = Settings(
        max_body_bytes=20_000, max_items=8, max_characters=1_000, model_folder=exported
    )
    with TestClient(create_app(classifier, settings)) as client:
        yield client


@pytest.fixture(scope="session")
def vendored() -> None:
    try:
        check_vendored()
    except SaveError:
        pytest.skip("needs the page's libraries, which `make page` fetches")


@pytest.fixture(scope="session")
def site(vendored: None, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(exported, tmp_path_factory.mktemp("site") / "page")


@pytest.fixture(scope="session")
def origin(site: Path) -> Iterator[str]:
    with serving(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.is_file():
        pytest.skip("needs /usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    page = opened(browser, origin)
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert faults == []
