"""The page in a real browser, served by a plain server of static files."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from datasets import DatasetDict
from playwright.sync_api import Browser, Page, sync_playwright

from sentiment_lstm import runtime
from sentiment_lstm.errors import ModelError, SaveError
from sentiment_lstm.serving.static import PAGE, check_vendored, write_page

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
GOOD, BAD = "a moving and beautifully acted film", "dull , lifeless and far too long"
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
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.is_file():
        pytest.skip("needs /usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def opened(browser: Browser, origin: str, **options) -> Page:
    """The page with its model loaded."""
    page = browser.new_page(**options)
    page.goto(origin)
    page.wait_for_selector("body[data-ready]")
    return page


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    page = opened(browser, origin)
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert faults == []


def enter(page: Page, text: str) -> None:
    """Type a text at once and wait for its answer."""
    page.fill("#text", text)
    page.wait_for_function(
        "text => document.querySelector('#words').textContent.includes(text.slice(0, 20))"
        " && !document.querySelector('#answer').hidden",
        arg=text.split()[0],
    )


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


def test_it_says_what_python_says(page: Page, exported: Path, sentences: DatasetDict):
    texts = sentences["test"]["text"][:20]
    expected = runtime.load(exported, batch_tokens=1).predict_proba(texts)
    answers = page.evaluate(
        "async (texts) => { const all = []; for (const text of texts)"
        " all.push((await sentimentModel.classify(text)).probabilities); return all; }",
        list(texts),
    )
    for answer, row in zip(answers, expected, strict=True):
        assert answer == pytest.approx(row, abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "An unbelievably good film , isn't it ?",
        "nai\u0308ve cafe\u0301 ends\x85. A soft\u00adhyphen",
        "Déjà vu<br /><br />but THE café scene is naïve…",
        "\u4e2d\u6587 mixed in, 100% of it - \u201cquoted\u201d \U0001f600 end",
    ],
)
def test_words_and_their_pulls_are_those_of_python(page: Page, exported: Path, text: str):
    classifier = runtime.load(exported, batch_tokens=1)
    expected = classifier.explain([text], label=classifier.labels[1])[0].words
    found = page.evaluate(
        "async (text) => (await sentimentModel.classify(text, {explain: true})).words", text
    )
    assert [word["text"] for word in found] == [word.text for word in expected]
    pulls = [word.score for word in expected]
    assert [word["pull"] for word in found] == pytest.approx(pulls, abs=1e-3)


def test_a_typed_text_is_labelled_and_its_words_are_coloured(page: Page, exported: Path):
    prediction = runtime.load(exported, batch_tokens=1).predict([GOOD])[0]
    page.type("#text", GOOD)
    page.wait_for_function(
        "text => document.querySelectorAll('#words .word').length === text.split(' ').length",
        arg=GOOD,
    )
    verdict = page.inner_text("#verdict")
    assert prediction.label in verdict
    assert f"{100 * prediction.confidence:.1f} %" in verdict
    strongest = page.locator("#words .level-3").first
    style = strongest.evaluate(
        "word => { const style = getComputedStyle(word);"
        " return [style.backgroundColor, style.textDecorationLine]; }"
    )
    assert style[0] != "rgba(0, 0, 0, 0)"
    assert style[1] == "underline"
    assert "towards" in (strongest.get_attribute("title") or "")
    assert "towards" in (strongest.text_content() or "")
    assert page.locator("#strongest li").count() > 0


def test_the_last_text_wins(page: Page):
    page.fill("#text", GOOD * 200)
    page.wait_for_timeout(160)  # so that the long one is being read
    page.fill("#text", BAD)
    page.wait_for_function("() => document.querySelector('#words').textContent.startsWith('dull')")
    page.wait_for_timeout(500)
    assert page.inner_text("#words").startswith("dull")
    page.fill("#text", " ")
    page.wait_for_selector("#answer", state="hidden")


def test_a_label_below_the_threshold_is_withheld(page: Page):
    enter(page, GOOD)
    assert "Withheld" not in page.inner_text("#verdict")
    page.fill("#threshold", "1")
    assert "Withheld" in page.inner_text("#verdict")
    upload(page)
    assert set(column(page, "label")) == {"withheld", "no text"}
    assert [row[3] for row in downloaded(page)[1:]] == [""] * 5
    page.click("#targets button >> nth=0")
    assert "withheld" not in column(page, "label")


def test_a_file_comes_back_with_the_same_rows_in_the_same_order(page: Page, exported: Path):
    upload(page)
    assert page.locator("#column option:checked").inner_text() == "review"
    page.click("th.confidence button")  # the order of the table is not that of the file
    found = downloaded(page)
    given = list(csv.reader(io.StringIO(CSV, newline="")))
    assert [row[:3] for row in found] == given
    assert found[0][3:] == ["label", "confidence"]
    assert [row[3:] for row in (found[2], found[4])] == [["", ""]] * 2
    texts = [given[place][1] for place in (1, 3, 5)]
    predictions = runtime.load(exported, batch_tokens=1).predict(texts)
    for place, prediction in zip((1, 3, 5), predictions, strict=True):
        assert found[place][3] == prediction.label
        assert float(found[place][4]) == pytest.approx(prediction.confidence, abs=1e-3)


def test_another_column_can_be_chosen(page: Page):
    upload(page)
    page.select_option("#column", label="note")
    page.wait_for_function("() => document.querySelector('#rows td.text')?.textContent === 'first'")
    assert column(page, "text") == ["first", "empty", "third", "only, markup", "last"]


def test_the_table_sorts_both_ways_and_says_so(page: Page):
    upload(page)
    assert column(page, "number") == list("12345")
    page.click("th.confidence button")
    assert page.get_attribute("th.confidence", "aria-sort") == "ascending"
    assert page.get_attribute("th.number", "aria-sort") == "none"
    rising = column(page, "confidence")
    assert rising[3:] == ["–", "–"]
    assert [float(cell[:-1]) for cell in rising[:3]] == sorted(
        float(cell[:-1]) for cell in rising[:3]
    )
    page.focus("th.confidence button")
    page.keyboard.press("Enter")
    assert page.get_attribute("th.confidence", "aria-sort") == "descending"
    assert column(page, "confidence") == [*rising[2::-1], "–", "–"]
    assert column(page, "label")[3:] == ["no text"] * 2


def test_the_histogram_counts_every_text(page: Page):
    upload(page)
    counts = page.locator("#histogram g text").all_text_contents()
    assert sum(int(count) for count in counts if count) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text\n\xff\xfe\n", "not UTF-8"),
        (b'text\n"open\n', "never closed"),
        (b"text\n", "no rows"),
        (b"", "no rows"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(
    page: Page, content: bytes, said: str
):
    page.set_input_files("#file", {"name": "bad.csv", "mimeType": "text/csv", "buffer": content})
    page.wait_for_selector("#error:not([hidden])")
    message = page.inner_text("#error")
    assert said in message
    assert message.endswith(".")
    assert "\n" not in message


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


def test_a_missing_model_is_told_in_one_sentence(browser: Browser, origin: str, site: Path):
    page = browser.new_page()
    page.route("**/model/config.json", lambda route: route.fulfill(status=404))
    page.goto(origin)
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error") == (
        "The folder model/ beside this page lacks config.json; run `sentiment-lstm page` again."
    )
    page.close()


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sentiment_lstm", "page", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_command_writes_a_page_and_replaces_an_earlier_one(
    vendored: None, exported: Path, tmp_path: Path
):
    for _ in range(2):
        done = command(exported, "--output", tmp_path / "page")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "page" / "index.html").is_file()
    config = json.loads((tmp_path / "page" / "model" / "config.json").read_text())
    assert config["model_type"] == "bert"  # the folder is one for transformers.js
    assert not list((tmp_path / "page").rglob("*.safetensors"))


def test_the_command_refuses_in_one_sentence(vendored: None, exported: Path, tmp_path: Path):
    (tmp_path / "letters.txt").write_text("mine")
    done = command(exported, "--output", tmp_path)
    assert done.returncode == 2
    assert "no page of sentiment-lstm" in done.stderr
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_a_model_that_was_not_exported_is_refused(trained: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="sentiment-lstm export"):
        write_page(trained, tmp_path / "page")


def test_a_page_without_its_libraries_is_refused(exported: Path, tmp_path: Path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "index.html").write_text((PAGE / "index.html").read_text())
    with pytest.raises(SaveError, match="make page"):
        write_page(exported, tmp_path / "page", page=bare)
    assert not (tmp_path / "page").exists()
