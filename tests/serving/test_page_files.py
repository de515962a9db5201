"""A file that is dropped on the page, in a real browser."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from datasets import DatasetDict
from playwright.sync_api import Page

from sentiment_lstm import runtime
from tests.serving.browsing import BAD, CSV, GOOD, column, downloaded, enter, upload


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
    page.wait_for_selector("#file-error:not([hidden])")
    message = page.inner_text("#file-error")
    assert said in message
    assert message.endswith(".")
    assert "\n" not in message


def test_the_mistake_of_a_file_stands_beside_it_until_the_next_file(page: Page):
    page.set_viewport_size({"width": 360, "height": 740})
    page.set_input_files("#file", {"name": "bad.csv", "mimeType": "text/csv", "buffer": b"text\n"})
    page.wait_for_selector("#file-error:not([hidden])")
    assert page.get_attribute("#file-error", "role") == "alert"
    field, mistake = (page.locator(place).bounding_box() for place in ("#file", "#file-error"))
    assert field is not None
    assert mistake is not None
    assert 0 < mistake["y"] - field["y"] < 100  # on a phone, the header is out of sight here
    enter(page, GOOD)
    assert page.is_visible("#file-error")
    assert page.is_hidden("#error")
    upload(page)
    assert page.is_hidden("#file-error")


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("\ufefftext;note\r\n" + GOOD + ";a, b\r\n", [[GOOD, "a, b"]]),
        ("text\tnote\n" + BAD + "\tlast, not least", [[BAD, "last, not least"]]),
        ("text,note\n\n" + GOOD + "\n\n", [[GOOD, ""]]),
        ('text\n"one\n\n""two"""\n""\n', [['one\n\n"two"'], [""]]),
    ],
    ids=["BOM and semicolons", "tabs", "empty lines and a short row", "one column"],
)
def test_other_kinds_of_csv_come_back_whole(page: Page, content: str, rows: list[list[str]]):
    upload(page, content)
    with page.expect_download() as download:
        page.click("#download")
    written = Path(download.value.path()).read_bytes().decode()
    delimiter = next(sign for sign in ";\t," if sign in written)
    found = list(csv.reader(io.StringIO(written, newline=""), delimiter=delimiter))
    assert [row[:-2] for row in found[1:]] == rows
    assert all(len(row) == len(found[0]) for row in found)


def test_a_column_of_the_same_name_is_not_overwritten(page: Page):
    upload(page, "text,label,predicted_label\n" + GOOD + ",mine,yours\n")
    assert downloaded(page)[0][2:] == [
        "predicted_label",
        "predicted_predicted_label",
        "confidence",
    ]


def test_a_file_without_any_text_is_told_so_row_by_row(page: Page):
    upload(page, "text,note\n,\n ,\n<br />,\n")
    assert column(page, "label") == ["no text"] * 3
    assert page.locator("#counts li").all_inner_texts() == ["0 negative", "0 positive", "3 no text"]


def test_a_file_is_dropped(page: Page):
    page.evaluate(
        """(content) => {
            const files = new DataTransfer();
            files.items.add(new File([content], "dropped.csv", { type: "text/csv" }));
            for (const name of ["dragover", "drop"]) {
                document.querySelector("#drop").dispatchEvent(
                    new DragEvent(name, { dataTransfer: files, bubbles: true, cancelable: true }));
            }
        }""",
        CSV,
    )
    page.wait_for_selector("#results:not([hidden])")
    assert page.inner_text("#file-state").startswith("dropped.csv: 5 rows")
    assert len(column(page, "text")) == 5


def test_five_thousand_rows_show_their_progress_and_part_of_the_table(
    page: Page, sentences: DatasetDict
):
    texts = list(sentences["train"]["text"])
    rows = [[texts[place % len(texts)]] for place in range(5_000)]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["text"], *rows])
    page.set_input_files(
        "#file", {"name": "many.csv", "mimeType": "text/csv", "buffer": file.getvalue().encode()}
    )
    page.wait_for_function(
        "() => { const share = document.querySelector('#progress').value;"
        " return share > 0 && share < 1; }"
    )
    page.wait_for_selector("#results:not([hidden])", timeout=120_000)
    assert len(column(page, "number")) == 200
    page.click("#more")
    assert len(column(page, "number")) == 400
    assert [row[:1] for row in downloaded(page)[1:]] == rows


def test_the_focus_goes_to_the_table_when_its_last_rows_are_shown(page: Page):
    upload(page, "text\n" + f"{GOOD}\n" * 401)
    page.focus("#more")
    for shown, focused in ((400, "#more"), (401, ".table")):
        page.keyboard.press("Enter")
        assert len(column(page, "number")) == shown
        page.evaluate("new Promise(requestAnimationFrame)")  # in which a hidden button loses it
        assert page.evaluate("selector => document.activeElement.matches(selector)", focused)


def test_another_file_stops_the_first(page: Page):
    many = "text\n" + f"{GOOD * 20}\n" * 2_000
    page.set_input_files(
        "#file", {"name": "many.csv", "mimeType": "text/csv", "buffer": many.encode()}
    )
    page.wait_for_selector("#progress-row:not([hidden])")
    upload(page)
    assert column(page, "number") == list("12345")
    assert page.inner_text("#file-state").startswith("reviews.csv: 5 rows")


def test_a_row_that_is_too_long_does_not_stop_the_file(page: Page):
    upload(page, "text\n" + "long " * 30_000 + "\n" + GOOD + "\n")
    assert column(page, "label")[0] == "too long"
    assert column(page, "confidence")[0] == "–"
    assert column(page, "confidence")[1] != "–"


def test_the_keyboard_alone_chooses_sorts_and_downloads(page: Page):
    upload(page)
    page.focus("#column")
    for selector in ("#download", ".table", "th.number button", "th.text button"):
        page.keyboard.press("Tab")
        assert page.evaluate("selector => document.activeElement.matches(selector)", selector)
    page.focus("#download")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "reviews-labelled.csv"
