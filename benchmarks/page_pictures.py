"""Take pictures of the page: a text with its words coloured, and a table of real reviews.

`python benchmarks/page_pictures.py MODEL` writes docs/images/page.png and page-table.png.
"""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Browser, Page, sync_playwright

from browsing import ARGUMENTS, CHROMIUM, serving
from common import DEFAULT_SOURCE, IMAGES, load_binary_reviews, run_script, sample
from sentiment_lstm import artefact
from sentiment_lstm.serving.static import write_page

__all__ = ["page_pictures"]

_TEXT = (
    "I wanted to love this film. The photography is gorgeous and the two leads are wonderful "
    "together, but the script is a tedious mess: flat jokes, clumsy dialogue, and an ending that "
    "wastes everything before it. What a disappointing way to spend an evening."
)
_WIDE, _PHONE = {"width": 900, "height": 900}, {"width": 375, "height": 800}
_MARGIN = 16  # pixels around what is pictured


def page_pictures(
    model: Annotated[
        Path | None, typer.Argument(help="A model folder; without one, that of the package.")
    ] = None,
    source: Annotated[str, typer.Option(help="Reviews with a test split.")] = DEFAULT_SOURCE,
    reviews: Annotated[int, typer.Option(min=1, help="How many rows the table has.")] = 200,
    seed: Annotated[int, typer.Option(help="Draws the reviews.")] = 0,
    chromium: Annotated[Path, typer.Option(help="The browser.")] = CHROMIUM,
    output: Annotated[Path, typer.Option(help="The folder of the pictures.")] = IMAGES,
    every: Annotated[
        bool, typer.Option("--every", help="Also on a phone and in the dark, to look at.")
    ] = False,
) -> None:
    """Take the pictures."""
    table = io.StringIO(newline="")
    texts = sample(load_binary_reviews(source)["test"], reviews, seed=seed)["text"]
    csv.writer(table).writerows([["review"], *([text] for text in texts)])
    with tempfile.TemporaryDirectory() as folder:
        site = write_page(model or artefact.bundled_folder(), Path(folder) / "page")
        with serving(site) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            _take(browser, address, table.getvalue(), output, "", _WIDE, "light")
            if every:
                _take(browser, address, table.getvalue(), output, "-dark", _WIDE, "dark")
                _take(browser, address, table.getvalue(), output, "-phone", _PHONE, "light")
                _take(browser, address, table.getvalue(), output, "-phone-dark", _PHONE, "dark")
            browser.close()


def _take(
    browser: Browser, address: str, table: str, output: Path, suffix: str, size: dict, scheme: str
) -> None:
    page = browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=2)
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.fill("#text", _TEXT)
    page.wait_for_selector("#answer:not([hidden])")
    page.evaluate("document.activeElement.blur()")
    _picture(page, "header, [aria-labelledby=text-heading]", output / f"page{suffix}.png")
    page.click("#targets button >> nth=1")
    page.set_input_files(
        "#file", {"name": "reviews.csv", "mimeType": "text/csv", "buffer": table.encode()}
    )
    page.wait_for_selector("#results:not([hidden])", timeout=120_000)
    _picture(page, "[aria-labelledby=threshold-heading], #drop", output / f"page-table{suffix}.png")
    page.close()


def _picture(page: Page, selector: str, path: Path) -> None:
    """Picture the full width of the page, from the top of the first part to the last one's end."""
    boxes = [part.bounding_box() for part in page.locator(selector).all()]
    found = [box for box in boxes if box is not None]
    top = max(min(box["y"] for box in found) + page.evaluate("scrollY") - _MARGIN, 0)
    end = max(box["y"] + box["height"] for box in found) + page.evaluate("scrollY") + _MARGIN
    width = page.evaluate("document.documentElement.clientWidth")
    page.screenshot(
        path=path,
        full_page=True,
        clip={"x": 0, "y": top, "width": width, "height": end - top},
    )


if __name__ == "__main__":
    run_script(page_pictures)
