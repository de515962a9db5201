"""The report finds what is wrong with a set of reviews, and IMDB's own flaws to the number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from PIL import Image

from sentiment_lstm.data import check_reviews, load_reviews, plot_report
from sentiment_lstm.errors import SaveError


def word_counts(texts: list[str]) -> np.ndarray:
    """Stand for a tokenizer whose tokens are the words."""
    return np.array([len(text.split()) for text in texts], dtype=np.int64)


def split_of(*rows: tuple[str, int], names: tuple[str, ...] = ("bad", "good")) -> Dataset:
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(names))})
    return Dataset.from_dict({"text": texts, "label": labels}, features=features)


LONG = "The second act of this film is told from the end to the start, which few will follow."
REVIEWS = DatasetDict(
    {
        "train": split_of(
            ("A fine film.", 1),
            ("A fine film.", 1),
            ("A fine film.", 1),
            ("One for the<br />bin.", 0),
            ("<i>Nothing</i> works here, a < b.", 0),
            (LONG, 0),
            ("Two minds.", 0),
            ("Two minds.", 1),
            (" \n", 0),
            ("<br />", 0),
            ("<br />", 1),
        ),
        "test": split_of(
            ("A fine film.", 1), ("A fine film.", 1), (LONG.upper(), 0), ("New.", 0), ("<br />", 1)
        ),
        "unsupervised": split_of(("A fine film.", -1), ("Two minds.", -1)),
    }
)


def test_sizes_balance_and_flaws_are_counted():
    report = check_reviews(REVIEWS, token_lengths=word_counts, max_length_tokens=[3, 1, 3])
    train, test, unlabelled = (report.splits[name] for name in ("train", "test", "unsupervised"))
    assert (train.number, test.number, unlabelled.number) == (11, 5, 2)
    assert train.balance == {"bad": 6, "good": 5}
    assert unlabelled.balance == {}
    # Empty texts count as empty, and as nothing else.
    assert (train.empty, test.empty) == (3, 1)
    assert (train.markup, test.markup) == (4, 1)
    assert (train.duplicates, test.duplicates, unlabelled.duplicates) == (3, 1, 0)
    assert train.duplicate_examples == [
        {"text": "A fine film.", "times": 3},
        {"text": "Two minds.", "times": 2},
    ]
    # Two rows of test are exactly in train; a third is, but for the case.
    assert report.leaks == {"test": 2}
    assert report.near_leaks == {"test": 3}
    assert [(e["kind"], e["row"], e["train_row"]) for e in report.leak_examples] == [
        ("exact", 1, 1),
        ("exact", 2, 1),
        ("near", 3, 6),
    ]
    assert report.conflicts == 1
    assert report.conflict_examples == [{"text": "Two minds.", "labels": ["bad", "good"]}]


def test_lengths_and_what_a_maximum_cuts():
    texts = [("word " * length, length % 2) for length in range(1, 101)]
    reviews = DatasetDict({"train": split_of(*texts), "test": split_of(*texts[:10])})
    report = check_reviews(reviews, token_lengths=word_counts, max_length_tokens=[90, 20, 500])
    train = report.splits["train"]
    assert report.max_length_tokens == [20, 90, 500]
    assert train.cut == {20: 0.8, 90: 0.1, 500: 0.0}
    assert train.mean_length == 50.5
    assert train.length_percentiles == {
        "5": 5, "25": 25, "50": 50, "75": 75, "95": 95, "99": 99, "max": 100
    }  # fmt: skip
    edges = np.array(report.length_edges)
    assert len(edges) == len(train.histogram) + 1
    assert sum(train.histogram) == 100
    assert train.histogram[0] == np.sum(np.arange(1, 101) < edges[1])
    assert sum(report.splits["test"].histogram) == 10


def test_a_large_split_is_measured_on_a_sample_and_says_so():
    number = 25_001
    reviews = DatasetDict(
        {
            "train": split_of(*[("one two", 0), ("three", 1)]),
            "test": split_of(*[("one two", 0), ("three", 1)]),
            "unsupervised": split_of(*[(f"text {row}", -1) for row in range(number)]),
        }
    )
    report = check_reviews(reviews, token_lengths=word_counts)
    assert report.splits["unsupervised"].number == number
    assert report.splits["unsupervised"].measured == 25_000
    assert report.splits["train"].measured == 2


def test_the_report_survives_json():
    report = check_reviews(REVIEWS, token_lengths=word_counts)
    content = json.loads(json.dumps(report.to_dict()))
    assert content["splits"]["train"]["duplicates"] == 3
    assert content["splits"]["train"]["cut"]["128"] == 0
    assert content["label_names"] == ["bad", "good"]


def test_the_flaws_of_imdb_are_found(imdb_folder: Path):
    reviews = load_reviews(imdb_folder)
    del reviews["unsupervised"]
    report = check_reviews(reviews, token_lengths=word_counts)
    assert report.splits["train"].duplicates == 96
    assert report.splits["test"].duplicates == 199
    assert report.leaks == {"test": 123}
    assert report.near_leaks["test"] > 123
    assert report.conflicts == 0
    assert report.splits["train"].balance == {"negative": 12_500, "positive": 12_500}
    assert report.splits["train"].markup > 10_000


@pytest.mark.parametrize("number_of_classes", [2, 3, 14])
def test_the_picture_is_drawn_from_the_report(number_of_classes: int, tmp_path: Path):
    names = tuple(f"class {number}" for number in range(number_of_classes))
    rows = [(f"review {row} " * (row % 40), row % number_of_classes) for row in range(140)]
    parts = {split: split_of(*rows, names=names) for split in ("train", "validation", "test")}
    parts["unsupervised"] = split_of(*[(text, -1) for text, _ in rows], names=names)
    report = check_reviews(DatasetDict(parts), token_lengths=word_counts, max_length_tokens=[30])
    path = tmp_path / "new" / "folder" / "report.png"
    plot_report(report, path)
    with Image.open(path) as picture:
        picture.load()
        assert picture.width > 1000
        # Something is drawn: the page is neither white nor of one colour.
        assert len(picture.convert("RGB").getcolors(maxcolors=2**24) or []) > 50
    assert [entry.name for entry in path.parent.iterdir()] == ["report.png"]


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path):
    report = check_reviews(REVIEWS, token_lengths=word_counts)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SaveError, match=r"file/report\.png: cannot be written"):
        plot_report(report, tmp_path / "file" / "report.png")
    (tmp_path / "report.png").mkdir()
    with pytest.raises(SaveError, match=r"report\.png: cannot be written"):
        plot_report(report, tmp_path / "report.png")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "report.png"]
