"""What the tests of the page do in a browser, and where they find one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import Browser, Page

from tests.conftest import ROOT

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
GOOD, BAD = "a moving and beautifully acted film", "dull , lifeless and far too long"
SHOWN = """() => {
    const words = document.querySelector('#words').cloneNode(true);
    words.querySelectorAll('.hidden').forEach((note) => note.remove());
    return words.textContent;
}"""
CSV = (
    "id,review,note\r\n"
    f'1,"{GOOD}, ""truly""\r\nand twice over",first\r\n'
    "2,,empty\r\n"
    f"3,{BAD.replace(',', '')},third\r\n"
    '4,<br />,"only, markup"\r\n'
    "5,an unremarkable story told well,last\r\n"
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder as any server of static files would, and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def opened(browser: Browser, origin: str, **options) -> Page:
    """The page with its model loaded."""
    page = browser.new_page(**options)
    page.goto(origin)
    page.wait_for_selector("body[data-ready]")
    return page


def enter(page: Page, text: str) -> None:
    """Type a text at once and wait for its answer."""
    page.fill("#text", text)
    page.wait_for_function(
        f"text => ({SHOWN})().includes(text.slice(0, 20))"
        " && !document.querySelector('#answer').hidden",
        arg=text.split()[0],
    )


def shown_text(page: Page) -> str:
    """The text among the words, without what is there for screen readers alone."""
    return page.evaluate(SHOWN)


def upload(page: Page, content: str = CSV) -> None:
    page.set_input_files(
        "#file", {"name": "reviews.csv", "mimeType": "text/csv", "buffer": content.encode()}
    )
    page.wait_for_selector("#results:not([hidden])")


def column(page: Page, name: str) -> list[str]:
    return [cell.strip() for cell in page.locator(f"#rows td.{name}").all_inner_texts()]


def downloaded(page: Page) -> list[list[str]]:
    with page.expect_download() as download:
        page.click("#download")
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
