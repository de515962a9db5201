from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from datasets import DatasetDict
from PIL import Image

from sentiment_lstm.errors import SaveError
from sentiment_lstm.evaluation import evaluate
from sentiment_lstm.metrics import Evaluation, score_predictions
from sentiment_lstm.report import check_folder, report_json, write_report
from tests.real_classifiers import TfidfClassifier, of_three_classes

FACTS = {"Recipe": "default", "Seed": "0"}
FILES = [
    "accuracy-coverage.png",
    "confusion-matrix.png",
    "metrics.json",
    "reliability.png",
    "report.html",
    "roc.png",
]
_VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser reads: the text, and tags that are each closed in their turn."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self.links: list[str] = []
        self.labels: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href"}:
                self.links.append(value or "")
            if name == "aria-label":
                self.labels.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def evaluation(sentences: DatasetDict) -> Evaluation:
    return evaluate(TfidfClassifier(sentences["train"]), sentences["test"])


def small(texts: list[str], names: list[str] | None = None) -> Evaluation:
    """Texts that are negative and were all taken for positive."""
    return score_predictions(
        [[0.2, 0.8]] * len(texts),
        [0] * len(texts),
        label_names=names or ["negative", "positive"],
        texts=texts,
    )


def test_the_report_is_a_page_its_pictures_and_its_figures(evaluation: Evaluation, tmp_path: Path):
    page = write_report(evaluation, tmp_path / "new" / "report", title="A model", facts=FACTS)
    assert page == tmp_path / "new" / "report" / "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == FILES
    for path in page.parent.glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 400
    shown = Page(page)
    low, high = evaluation.accuracy_interval
    for text in (
        "A model",
        f"{evaluation.accuracy:.2%}",
        f"{low:.2%} to {high:.2%}",
        f"{evaluation.roc_auc:.4f}",
        f"{evaluation.log_loss:.4f}",
        f"{evaluation.f1:.2%}",
        f"{evaluation.adaptive_calibration_error:.4f}",
        f"{evaluation.calibration_error_by_chance:.4f} by chance alone",
        f"{evaluation.risk_coverage_area:.4f}",
        *FACTS.values(),
        *(f"{scores.recall:.2%}" for scores in evaluation.classes),
        *(mistake.text.strip() for mistake in evaluation.mistakes),
    ):
        assert text in shown.text
    assert shown.tags.count("details") == len(evaluation.mistakes) == 20
    assert shown.tags.count("svg") == 4
    assert "Misled by" not in shown.text  # nothing was asked for its reasons


def test_the_figures_beside_the_page_are_the_evaluation(evaluation: Evaluation, tmp_path: Path):
    write_report(evaluation, tmp_path, title="A model", facts=FACTS, notes=["A note."])
    content = (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert (
        content == report_json(evaluation, title="A model", facts=FACTS, notes=["A note."]) + "\n"
    )
    values = json.loads(content)
    assert (values["title"], values["facts"], values["notes"]) == ("A model", FACTS, ["A note."])
    assert values["accuracy"] == evaluation.accuracy
    assert values["confusion"] == evaluation.confusion


def test_three_classes_are_reported(sentences: DatasetDict, tmp_path: Path):
    reviews = of_three_classes(sentences)
    evaluation = evaluate(TfidfClassifier(reviews["train"]), reviews["test"])
    shown = Page(write_report(evaluation, tmp_path, title="Three", facts={}))
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert "ROC curves, each label against the others" in shown.text
    assert "whole review" in shown.text


def test_the_page_needs_nothing_but_itself(evaluation: Evaluation, tmp_path: Path):
    picture = tmp_path / "learning-curves.png"
    Image.new("RGB", (4, 4)).save(picture)
    page = write_report(evaluation, tmp_path / "r", title="A", facts=FACTS, pictures=[picture])
    shown = Page(page)
    assert "script" not in shown.tags
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in shown.links)
    (embedded,) = (link for link in shown.links if link.startswith("data:"))
    assert base64.b64decode(embedded.partition(",")[2]) == picture.read_bytes()
    assert "Learning curves" in shown.text
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", page.read_text(encoding="utf-8")))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_no_two_elements_share_an_id_and_pictures_are_described(
    evaluation: Evaluation, tmp_path: Path
):
    page = write_report(evaluation, tmp_path, title="A", facts=FACTS)
    ids = re.findall(r'\sid="([^"]+)"', page.read_text(encoding="utf-8"))
    assert len(ids) == len(set(ids)) > 3
    labels = Page(page).labels
    for beginning in (
        "Accuracy ",
        "Confusion matrix. ",
        "ROC curves. ",
        "Reliability curve. ",
        "Accuracy-coverage curve. ",
    ):
        assert sum(label.startswith(beginning) for label in labels) == 1


def test_the_same_evaluation_gives_the_same_files(evaluation: Evaluation, tmp_path: Path):
    for name in ("a", "b"):
        write_report(evaluation, tmp_path / name, title="A", facts=FACTS)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_markup_in_texts_labels_and_facts_is_shown_and_never_run(tmp_path: Path):
    attack = "<script>alert('x')</script><img src=x onerror=alert(1)>"
    evaluation = small([attack], ['neg"><b>ative', "pos'{{ 7 * 7 }}"])
    page = write_report(evaluation, tmp_path, title=attack, facts={attack: attack})
    shown = Page(page)
    assert shown.text.count(attack) >= 4
    assert not {"script", "b", "img"} & set(shown.tags)
    assert "pos'{{ 7 * 7 }}" in shown.text


def test_line_breaks_of_a_review_are_shown_as_such(tmp_path: Path):
    shown = Page(write_report(small(["One.<br /><br />Two. <br>"]), tmp_path, title="A", facts={}))
    assert "One.\n\nTwo." in shown.text
    assert "br" not in shown.tags


def test_a_huge_review_is_shown_to_a_length_that_a_page_can_bear(tmp_path: Path):
    page = write_report(small(["word " * 200_000, "short"]), tmp_path, title="A", facts={})
    assert page.stat().st_size < 300_000
    assert "979,999 more characters" in Page(page).text


def test_what_a_reader_must_know_stands_on_the_page(tmp_path: Path):
    evaluation = score_predictions(
        [[0.2, 0.8]], [0], label_names=["negative", "positive"], texts=["a"], skipped_empty=3
    )
    shown = Page(write_report(evaluation, tmp_path, title="A", facts={}, notes=["Mind this."]))
    for note in ("Mind this.", "3 reviews have empty texts", "there is no review of positive"):
        assert note in shown.text


def test_a_model_without_a_mistake_has_none_to_show(tmp_path: Path):
    evaluation = score_predictions(
        [[0.2, 0.8], [0.9, 0.1]], [1, 0], label_names=["bad", "good"], texts=["a", "b"]
    )
    shown = Page(write_report(evaluation, tmp_path, title="A", facts={}))
    assert "There is none: every review was classified rightly." in shown.text


def test_the_page_says_what_abstaining_would_give(tmp_path: Path):
    probabilities = [[0.1, 0.9]] * 60 + [[0.3, 0.7]] * 40
    evaluation = score_predictions(
        probabilities,
        [1] * 59 + [0] + [1] * 20 + [0] * 20,
        label_names=["bad", "good"],
        abstain=0.8,
    )
    page = Page(write_report(evaluation, tmp_path, title="A", facts={}))
    shown = " ".join(page.text.split())
    assert "99% accuracy out of reach" in shown
    assert "98% accuracy 60.0% 0.9000 95% accuracy 60.0% 0.9000" in shown
    assert (
        "With labels withheld below a confidence of 0.8, 60 of 100 reviews are answered (60.00%), "
        "98.33% of them rightly; 20 of 21 errors are avoided (95.2%)."
    ) in shown
    values = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert values["coverage_at_accuracy"][0] == {
        "target": 0.99,
        "coverage": None,
        "threshold": None,
        "accuracy": None,
    }
    assert values["abstention"]["errors_avoided"] == 20
    assert values["risk_coverage"]["coverage"] == [0.6, 1.0]


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (1, "0 of 2 reviews are answered (0.00%); there was no error to avoid."),
        (0, "0 of 2 reviews are answered (0.00%); 2 of 2 errors are avoided (100.0%)."),
    ],
)
def test_a_page_on_which_nothing_was_answered_says_so(label: int, sentence: str, tmp_path: Path):
    evaluation = score_predictions(
        [[0.2, 0.8]] * 2, [label] * 2, label_names=["bad", "good"], abstain=0.9
    )
    page = Page(write_report(evaluation, tmp_path, title="A", facts={}))
    assert sentence in " ".join(page.text.split())


def test_without_a_threshold_the_page_speaks_of_none(tmp_path: Path):
    page = Page(write_report(small(["a"]), tmp_path, title="A", facts={}))
    assert "If it may abstain" in page.text
    assert "withheld" not in page.text


def test_other_files_in_the_folder_stay_and_an_old_report_is_replaced(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    write_report(small(["old"]), tmp_path, title="A", facts={})
    page = write_report(small(["new"]), tmp_path, title="A", facts={})
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert ">old<" not in page.read_text()


@pytest.mark.parametrize("place", ["file", "file/report"])
def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("mine")
    for refuse in (check_folder, lambda f: write_report(small(["a"]), f, title="", facts={})):
        with pytest.raises(SaveError, match=r"file: is a file\. Choose another folder"):
            refuse(tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_picture_that_is_missing_is_named_before_anything_is_written(tmp_path: Path):
    with pytest.raises(SaveError, match=r"none\.png: cannot be read .*No such file"):
        write_report(
            small(["a"]), tmp_path / "r", title="", facts={}, pictures=[tmp_path / "none.png"]
        )
    assert not (tmp_path / "r").exists()
