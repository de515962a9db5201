"""Who can use the page, and where what they enter goes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.serving.browsing import AXE, GOOD, downloaded, enter, opened, upload


def test_no_request_leaves_the_origin(browser: Browser, origin: str):
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(origin)
    page.wait_for_selector("body[data-ready]")
    enter(page, GOOD)
    upload(page)
    downloaded(page)
    assert any(url.endswith(".onnx") for url in asked)
    for url in asked:
        assert url.startswith((origin, f"blob:{origin}", "data:")), url
    # And none could: the page's own policy stops it.
    blocked = page.evaluate("fetch('http://localhost:9/').then(() => false, () => true)")
    assert blocked
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, origin: str, scheme: str):
    if not AXE.is_file():
        pytest.skip("needs axe-core, which `make page` fetches")
    page = opened(browser, origin, color_scheme=scheme, viewport={"width": 360, "height": 740})
    enter(page, GOOD)
    page.fill("#threshold", "0.6")
    upload(page)
    page.evaluate(AXE.read_text())
    violations = page.evaluate("axe.run().then(found => found.violations)")
    grave = [
        (found["id"], [node["html"] for node in found["nodes"]])
        for found in violations
        if found["impact"] in ("serious", "critical")
    ]
    assert grave == []
    page.close()


def test_a_phone_needs_no_scrolling_sideways(browser: Browser, origin: str):
    page = opened(browser, origin, viewport={"width": 360, "height": 740})
    enter(page, "unbelievable" * 30)
    upload(page, "text\n" + "unbelievable" * 30 + "\n" + GOOD + "\n")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(
        "(() => { const table = document.querySelector('.table');"
        " return table.scrollWidth <= table.clientWidth; })()"
    )
    page.close()


def test_dark_mode_follows_the_system(browser: Browser, origin: str):
    shades = {}
    for scheme in ("light", "dark"):
        page = opened(browser, origin, color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades[scheme] = sum(int(part) for part in colour[4:-1].split(","))
        page.close()
    assert shades["dark"] < 150 < 600 < shades["light"]
