"""A file that is dropped on the page, in a real browser."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import Page

from sentiment_lstm import runtime
from tests.serving.browsing import CSV, column, downloaded, upload


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
