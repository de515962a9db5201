"""A text that is typed into the page, in a real browser, from a server of static files."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import DatasetDict
from playwright.sync_api import Browser, Page

from sentiment_lstm import runtime
from tests.serving.browsing import BAD, GOOD, column, downloaded, enter, upload


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


def test_a_missing_model_is_told_in_one_sentence(browser: Browser, origin: str, site: Path):
    page = browser.new_page()
    page.route("**/model/config.json", lambda route: route.fulfill(status=404))
    page.goto(origin)
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error") == (
        "The folder model/ beside this page lacks config.json; run `sentiment-lstm page` again."
    )
    page.close()
