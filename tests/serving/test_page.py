"""A text that is typed into the page, in a real browser, from a server of static files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from playwright.sync_api import Browser, Page

from sentiment_lstm import runtime
from sentiment_lstm.serving.static import write_page
from tests.real_reviews import balanced_reviews
from tests.serving.browsing import (
    BAD,
    GOOD,
    column,
    downloaded,
    enter,
    opened,
    serving,
    shown_text,
    upload,
)


def test_it_says_of_whole_reviews_what_python_says(
    vendored: None, browser: Browser, tmp_path: Path
):
    folder = runtime.artefact.bundled_folder()
    texts = [review["text"] for review in balanced_reviews(0, 200)["test"]]
    expected = runtime.load(folder, batch_tokens=1).predict_proba(texts)
    with serving(write_page(folder, tmp_path / "page")) as address:
        fresh = opened(browser, address)
        answers = fresh.evaluate(
            "async (texts) => { const all = []; for (const text of texts)"
            " all.push((await sentimentModel.classify(text)).probabilities); return all; }",
            texts,
        )
        fresh.close()
    assert np.abs(np.array(answers) - expected).max() < 1e-3


@pytest.mark.parametrize(
    "text",
    [
        "An unbelievably good film , isn't it ?",
        "nai\u0308ve cafe\u0301 ends\x85. A soft\u00adhyphen",
        "Déjà vu<br /><br />but THE café scene is naïve…",
        "\u4e2d\u6587 mixed in, 100% of it - \u201cquoted\u201d \U0001f600 end",
        "see [SEP] a dull film",
        "so[MASK]dull[SEP][PAD] [UNK] [CLS] [sep] \u0301film",
        "a won\ufeffderful film, a\x0b won\x0cderful one",
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


def test_a_model_that_tells_no_contributions_promises_none(
    page: Page, browser: Browser, site: Path, tmp_path: Path
):
    assert page.is_visible("#pull-note")
    silent = Path(shutil.copytree(site, tmp_path / "page"))
    path = silent / "model" / runtime.artefact.ONNX
    graph = onnx.load(path)
    (scores,) = [output for output in graph.graph.output if output.name == "token_scores"]
    graph.graph.output.remove(scores)
    onnx.save(graph, path)
    with serving(silent) as address:
        fresh = opened(browser, address)
        enter(fresh, GOOD)
        assert "does not tell" in fresh.inner_text("#legend")
        assert fresh.is_hidden("#pull-note")
        fresh.close()


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


def test_a_missing_model_is_told_in_one_sentence(browser: Browser, origin: str, site: Path):
    page = browser.new_page()
    page.route("**/model/config.json", lambda route: route.fulfill(status=404))
    page.goto(origin)
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error") == (
        "The folder model/ beside this page lacks config.json; run `sentiment-lstm page` again."
    )
    page.close()


def test_a_text_that_is_too_long_leaves_no_answer_of_another(page: Page):
    enter(page, GOOD)
    for _ in range(3):  # each is short enough, but not all of them
        page.evaluate(
            "() => { const field = document.querySelector('#text');"
            " field.value += ' word'.repeat(10_000); field.dispatchEvent(new Event('input')); }"
        )
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error") == (
        "The text has 150,035 characters, more than the 100,000 that this page reads; "
        "cut it, or use `sentiment-lstm predict`."
    )
    assert page.is_hidden("#answer")
    enter(page, BAD)
    assert page.is_hidden("#error")


def test_ten_megabytes_that_are_pasted_are_refused_at_once(page: Page):
    enter(page, GOOD)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('word '.repeat(2_000_000))")
    page.focus("#text")
    page.keyboard.press("Control+V")
    page.wait_for_selector("#error:not([hidden])")
    assert "10,000,000 characters" in page.inner_text("#error")
    assert page.input_value("#text") == GOOD
    page.keyboard.press("Control+A")
    page.keyboard.type("dull")
    page.wait_for_function("() => document.querySelector('#words').textContent.startsWith('dull')")
    assert page.is_hidden("#error")


@pytest.mark.parametrize(
    "text", ["فيلم رائع", "\U0001f600\U0001f44d\U0001f3fd", "e\u0301te\u0301 fini"]
)
def test_scripts_and_emoji_are_shown_as_they_were_typed(page: Page, text: str):
    enter(page, text)
    assert shown_text(page) == text
    direction = page.evaluate("getComputedStyle(document.querySelector('#words')).direction")
    assert direction == ("rtl" if text.startswith("ف") else "ltr")


def test_markup_in_a_text_is_shown_and_never_run(page: Page):
    text = "<img src=x onerror=\"document.title='run'\"> <b>fine</b> film"
    enter(page, text)
    assert page.locator("#words img, #words b").count() == 0
    assert shown_text(page) == text
    upload(page, f'text\n"{text.replace(chr(34), chr(34) * 2)}"\n')
    assert column(page, "text") == [text]
    assert page.title() == "Sentiment of a text"


def test_a_folder_with_the_32_bit_file_alone_is_read(browser: Browser, origin: str):
    fresh = browser.new_page()
    answers: dict[str, int] = {}
    fresh.on(
        "response",
        lambda answer: answers.update({answer.url.rpartition("/")[2]: answer.status}),
    )
    fresh.goto(origin)
    fresh.wait_for_selector("body[data-ready]")
    assert answers["model_quantized.onnx"] == 404  # it is asked for first
    assert answers["model.onnx"] == 200
    fresh.close()


def test_of_two_files_the_8_bit_one_is_fetched_alone(
    vendored: None, browser: Browser, tmp_path: Path, exported: Path
):
    folder = Path(shutil.copytree(exported, tmp_path / "both"))
    quantized = runtime.artefact.bundled_folder() / runtime.artefact.ONNX_QUANTIZED
    shutil.copyfile(quantized, folder / runtime.artefact.ONNX_QUANTIZED)
    with serving(write_page(folder, tmp_path / "page")) as address:
        fresh = browser.new_page()
        asked: list[str] = []
        fresh.on("request", lambda request: asked.append(request.url))
        fresh.goto(address)
        fresh.wait_for_selector("body[data-ready]")
        files = [url.rpartition("/")[2] for url in asked if url.endswith(".onnx")]
        assert files == ["model_quantized.onnx"]
        fresh.close()
